"The browser that prints the book, opens the site in the tests, and is timed."
import shutil


def chromium():
    "The system's Chromium or Chrome; nothing where there is none."
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
