def run():
    x = 1
    rows = []
    for i in range(300000):
        x = x * 16807 % 2147483647
        rows.append((i, x / 2147483647))
    rows = sorted(rows, key=lambda row: row[1])
    return rows[0][0], rows[-1][0]
print(*run())
