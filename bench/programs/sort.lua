local x, rows = 1, {}
for i = 0, 299999 do
    x = x * 16807 % 2147483647
    rows[#rows + 1] = {i, x / 2147483647}
end
table.sort(rows, function(a, b) return a[2] < b[2] end)
print(rows[1][1] .. " " .. rows[#rows][1])
