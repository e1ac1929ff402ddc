local Counter = {}
Counter.__index = Counter
function Counter.new() return setmetatable({x = 0}, Counter) end
function Counter:add(by) self.x = self.x + by end
function Counter:value() return self.x end
local counter = Counter.new()
for i = 1, 3000000 do counter:add(1) end
print(counter:value())
