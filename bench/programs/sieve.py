def primes(n):
    is_prime = [True for i in range(n)]
    count = 0
    for i in range(2, n):
        if is_prime[i]:
            count += 1
            j = i * i
            while j < n:
                is_prime[j] = False
                j += i
    return count
print(primes(2000000))
