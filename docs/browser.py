"The browser that prints the book, opens the site in the tests, and is timed."
import shutil


def chromium():
    "The system's Chromium or Chrome, the quick one without windows first; nothing where there is none."
    names = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"
    return next(filter(None, map(shutil.which, names)), None)
