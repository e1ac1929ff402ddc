# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that take steps in turn, so that all see the same machine: neighbours on the host change what a core can do
within seconds. A side answers a line ("fixed 3": three steps with the inputs of the step before, "fresh 3": each with
new ones; of bench/peak.c any line) with a line of JSON and sleeps until the next; bench/workloads.tsr and .py are sides."""
import json, os, statistics, subprocess, sys, time

TURN = 100                  # milliseconds of steps in a turn of all sides together: short steps come in bursts
SETTLED = 0.25              # seconds: how long a side that has answered may have threads that spin before they sleep


class Side:
    def __init__(self, command, settings=None):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, env={**os.environ, **(settings or {})}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{' '.join(self.command)}: ended with {self.process.wait()}")
        self.rest()
        return json.loads(answer)

    def rest(self):
        """Until all its threads sleep: those that wait for work spin for some milliseconds first."""
        end = time.monotonic() + SETTLED
        while time.monotonic() < end:
            time.sleep(0.004)
            if not self.is_running():
                break

    def is_running(self):
        tasks = f"/proc/{self.process.pid}/task"
        return any(open(f"{tasks}/{task}/stat").read().rpartition(")")[2].split()[0] == "R" for task in os.listdir(tasks))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def take_turns(sides, line, turns):
    """For each side its answers, one a turn; who begins changes from turn to turn."""
    answers = [[] for side in sides]
    for turn in range(turns):
        for side, kept in list(zip(sides, answers))[::1 if turn % 2 == 0 else -1]:
            kept.append(side.ask(line))
    return answers


def plan(sides, seconds, least):
    """After two steps to warm up: how many steps a turn has, and how many turns fit into these seconds."""
    for side in sides:
        side.ask("fixed 2")
    took = sum(statistics.median(side.ask("fixed 2")["ms"]) for side in sides)
    steps = max(1, min(200, int(TURN / took)))
    return steps, max(least, min(40, int(seconds * 1e3 / (took * steps))))


def medians(answers):
    """Milliseconds of a step in each turn."""
    return [statistics.median(answer["ms"]) for answer in answers]
