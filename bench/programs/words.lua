local parts = {}
for i = 0, 199999 do parts[#parts + 1] = "word" .. i * 7919 % 1000 end
local text = table.concat(parts, " ")
local t, n = {}, 0
for round = 1, 5 do
    for word in text:gmatch("%S+") do t[word] = (t[word] or 0) + 1 end
end
for _ in pairs(t) do n = n + 1 end
print(n .. " " .. t.word7)
