def adder(n): return lambda x: x + n
def run():
    total = 0
    for i in range(2000000):
        add = adder(i)
        total = add(total) % 1000003
    return total
print(run())
