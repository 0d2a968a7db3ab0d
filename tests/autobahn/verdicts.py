"""Evaluates a report of the Autobahn TestSuite: prints the verdicts by group of cases and each failed case. The last line
counts the passed and failed cases. A missing case counts as failed.

    verdicts.py INDEX.JSON EXPECTED     EXPECTED lists the cases, one per line
"""

import collections
import json
import sys
import textwrap
from pathlib import Path

GOOD = ("OK", "INFORMATIONAL")
MISSING = "MISSING"
AGENT = "websocket-proto"


def read_report(path):
    """Returns the verdicts by case id; none if there is no report, or a report about another agent."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        print(f"no report: {error}")
        return {}
    if list(report) != [AGENT]:
        print(f"the report is about {list(report)}, not about {AGENT}")
    return report.get(AGENT, {})


def verdict_of(entry):
    """Returns the worse of a case's two verdicts, in the words of the suite."""
    if entry is None:
        return MISSING
    behaviour, at_close = entry["behavior"], entry["behaviorClose"]
    if behaviour in GOOD and at_close not in GOOD:
        return f"close {at_close}"
    return behaviour


def print_table(verdicts):
    groups = collections.defaultdict(collections.Counter)
    for case, verdict in verdicts.items():
        groups[case.split(".")[0]][verdict] += 1
        groups["all"][verdict] += 1
    columns = [*GOOD, *sorted(set(groups["all"]) - set(GOOD))]
    print("  ".join(["group", "cases", *columns]))
    for group, counts in groups.items():
        if group != "all":
            print_row(f"{group}.*", counts, columns)
    print_row("all", groups["all"], columns)


def print_row(name, counts, columns):
    cells = [f"{counts[column] or '-':>{len(column)}}" for column in columns]
    print("  ".join([f"{name:<5}", f"{counts.total():>5}", *cells]))


def main():
    expected = Path(sys.argv[2]).read_text(encoding="utf-8").split()
    report = read_report(sys.argv[1])
    verdicts = {case: verdict_of(report.get(case)) for case in expected}
    verdicts |= {case: "UNASKED" for case in report if case not in verdicts}
    print_table(verdicts)
    bad = [case for case, verdict in verdicts.items() if verdict not in GOOD]
    for case in bad:
        if case in report:
            entry = report[case]
            print(
                f"{case:<10} behaviour {entry['behavior']}, close {entry['behaviorClose']}"
                f" (code {entry['remoteCloseCode']}, {entry['duration']} ms)"
            )
    missing = [case for case in bad if case not in report]
    if missing:
        print(textwrap.fill(f"missing: {' '.join(missing)}", 120, subsequent_indent="  "))
    print(f"{len(verdicts) - len(bad)} passed, {len(bad)} failed")
    sys.exit(bool(bad) or not verdicts)


main()
