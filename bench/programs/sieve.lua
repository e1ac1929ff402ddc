local function primes(n)
    local is_prime, count = {}, 0
    for i = 0, n - 1 do is_prime[i] = true end
    for i = 2, n - 1 do
        if is_prime[i] then
            count = count + 1
            local j = i * i
            while j < n do
                is_prime[j] = false
                j = j + i
            end
        end
    end
    return count
end
print(primes(2000000))
