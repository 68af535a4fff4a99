"""Notebook 00 in a real browser: the first cells and the first exercises of a learner."""


def test_start_here(open_notebook):
    notebook = open_notebook("00_start_here")
    notebook.run_all()
    page = notebook.page
    page.get_by_text("It works! And 6 times 7 is 42").first.wait_for()

    # A first answer: in quotes, added instead of multiplied, right.
    cell = notebook.cell("exercises.looks.check")
    cell.get_by_text("Not answered yet").wait_for()
    notebook.retype(cell, "answer = ...", "answer = '1000 * epochs'")
    cell.get_by_text("Take the quotes away").wait_for()
    notebook.retype(cell, "answer = ", "answer = 0 + ")
    cell.get_by_text("TypeError").first.wait_for()  # an error of Python itself is shown too
    notebook.retype(cell, "answer = ", "answer = 1000 + epochs  # ")
    cell.get_by_text("You have added.").wait_for()
    notebook.shoot("00-exercise-wrong", cell)
    notebook.retype(cell, "answer = ", "answer = 1000 * epochs  # ")
    cell.get_by_text("✓ Right.").wait_for()

    # Hints come one after the other; the solution explains itself.
    notebook.retype(cell, "# exercises.looks.hint()", "exercises.looks.hint()")
    cell.get_by_text("Hint 1 of 3.").wait_for()
    notebook.retype(cell, "exercises.looks.hint()", "exercises.looks.hint()")
    cell.get_by_text("Hint 2 of 3.").wait_for()
    notebook.retype(cell, "# exercises.looks.solution()", "exercises.looks.solution()")
    cell.get_by_text("Every picture, once in every epoch.").wait_for()
    notebook.shoot("00-exercise-solution", cell)

    cell = notebook.cell("exercises.right_answers.check")
    notebook.retype(cell, "answer = ...", "answer = 10")
    cell.get_by_text("✓ Right.").or_(cell.get_by_text("Not yet.")).wait_for()
    notebook.retype(cell, "answer = 10", "answer = sum('✓' in title for title in titles)")
    cell.get_by_text("✓ Right.").wait_for()

    cell = notebook.cell("exercises.own_experiment.check")
    notebook.retype(cell, "answer = ...", "answer = Experiment(epochs=16, learning_rate=0.001)")
    cell.get_by_text("batch_size is 128, and in mine it is 32").wait_for()
    notebook.retype(cell, "answer = Experiment(", "answer = Experiment(batch_size=32, ")
    cell.get_by_text("✓ Right.").wait_for()
    notebook.shoot("00-exercise-right", cell)
    notebook.check()
