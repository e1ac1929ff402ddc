local t, n = {}, 0
for i = 0, 1999999 do
    local key = i * 7919 % 1000
    t[key] = (t[key] or 0) + 1
end
for _ in pairs(t) do n = n + 1 end
print(n .. " " .. t[7])
