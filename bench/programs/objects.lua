-- Objects of many kinds and sizes, most short-lived; prints the same every time.
local state = 12345
local function random(n) state = (state * 1103515245 + 12345) % 2147483648; return state // 8 % n end

local words, sum = {}, 0
for i = 1, 60000 do
  local w = string.rep(string.char(97 + random(26)), 1 + random(40)) .. i
  words[w] = (words[w] or 0) + #w
end
for _, n in pairs(words) do sum = sum + n end
print("words", sum)

local function tree(depth) if depth == 0 then return {} end return { tree(depth - 1), tree(depth - 1), name = "n" .. depth } end
local function count(t) return 1 + (t[1] and count(t[1]) + count(t[2]) or 0) end
sum = 0
for _ = 1, 8 do sum = sum + count(tree(14)) end
print("nodes", sum)

local parts = {}
for i = 1, 40000 do parts[#parts + 1] = ("%d:%s"):format(i, ("x"):rep(random(60))) end
local text = table.concat(parts, ",")
local pieces = 0
for piece in text:gmatch("[^,]+") do pieces = pieces + #piece end
print("text", #text, pieces, #text:gsub("x+", "y"))

local adders = {}
for i = 1, 50000 do adders[i % 1000 + 1] = function(x) return x + i end end
sum = 0
for _, f in ipairs(adders) do sum = sum + f(1) end
print("closures", sum)

sum = 0
for i = 1, 5000 do
  local c = coroutine.wrap(function(n) for j = 1, 5 do n = coroutine.yield({ n, j }) end end)
  for j = 1, 5 do sum = sum + #c(i * j) end
end
print("coroutines", sum)
