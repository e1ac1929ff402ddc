def run():
    rows = [{"name": "a", "at": (i, i + 1)} for i in range(500000)]
    total = 0
    for row in rows:
        a, b = row["at"]
        total += b - a
    return total
print(run())
