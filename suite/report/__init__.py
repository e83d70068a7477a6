"""The figures and the page that show verdicts and what they rest on."""
