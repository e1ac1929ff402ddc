class Counter:
    def __init__(self): self.x = 0
    def add(self, by): self.x = self.x + by
    def value(self): return self.x
def run():
    counter = Counter()
    for i in range(3000000): counter.add(1)
    return counter.value()
print(run())
