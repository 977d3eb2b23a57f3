"`python -m course_dl` is the command `course_dl`."
from course_dl.cli import main

main()
