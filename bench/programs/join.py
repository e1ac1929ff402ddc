def run(): return len(", ".join([str(i) for i in range(1000000)]))
print(run())
