def run():
    s = 0.0
    for i in range(20000000): s = s + 0.5
    return s
print(run())
