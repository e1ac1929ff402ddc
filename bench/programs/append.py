def run():
    text = ""
    for i in range(1000000): text += f"item {i}, "
    return len(text)
print(run())
