# Python 2.7, inside the suite: prints the ids of the cases that the patterns on the command line select, one per line.
# The selection is that of wstest. A pattern that selects no case is an error.
import sys

from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet

suite = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
for pattern in sys.argv[1:]:
    found = suite.parseSpecCases({"cases": [pattern]})
    if not found or any(case not in suite.CasesById for case in found):
        sys.exit("the suite has no case " + pattern)
for case in suite.parseSpecCases({"cases": sys.argv[1:]}):
    print(case)
