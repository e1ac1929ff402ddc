local rows, total = {}, 0
for i = 0, 499999 do rows[#rows + 1] = {name = "a", at = {i, i + 1}} end
for _, row in ipairs(rows) do
    local a, b = row.at[1], row.at[2]
    total = total + b - a
end
print(total)
