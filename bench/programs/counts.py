def run():
    table = {}
    for i in range(2000000):
        key = i * 7919 % 1000
        table[key] = table.get(key, 0) + 1
    return len(table), table[7]
print(*run())
