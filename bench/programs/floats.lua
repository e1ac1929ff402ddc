local s = 0.0
for i = 1, 20000000 do s = s + 0.5 end
print(s)
