def run():
    text = " ".join([f"word{i * 7919 % 1000}" for i in range(200000)])
    table = {}
    for round in range(5):
        for word in text.split(" "): table[word] = table.get(word, 0) + 1
    return len(table), table["word7"]
print(*run())
