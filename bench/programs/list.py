def run():
    xs = []
    for i in range(3000000): xs.append(i)
    total = 0
    for x in xs: total = total + x
    return total
print(run())
