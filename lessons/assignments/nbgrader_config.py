"""How nbgrader releases and grades the assignments. It is read wherever nbgrader is started in this folder."""

from pathlib import Path

c = get_config()  # noqa: F821  nbgrader gives it to this file

# nbgrader wants an absolute path here; this one follows the folder wherever it is copied.
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.course_id = "musicgen_edu"

# What a stub holds. The checks know an exercise that nobody has begun by this error without a message.
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}

# Seconds that one cell of a submission may take. An endless loop is interrupted then, and the next cell begins.
c.Execute.timeout = 60
# A submission prints into its feedback: not more than this.
c.LimitOutput.max_lines = 500
c.LimitOutput.max_traceback = 30
