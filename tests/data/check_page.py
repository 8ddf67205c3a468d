"""Prints a page that lays another out in a frame, checks it, and holds nothing but what is wrong with it.

usage: check_page.py PAGE WIDTH light|dark|print
"""
import json
import pathlib
import sys

page, width, look = sys.argv[1:]
html = pathlib.Path(page).read_text()
# Browsers cannot be told from inside which medium to show: its rules are made to hold always, and the others never.
html = html.replace("(prefers-color-scheme: dark)", "all" if look == "dark" else "not all")
html = html.replace("@media print", "@media all" if look == "print" else "@media not all")
checks = pathlib.Path(__file__).with_name("check_page.js").read_text()
as_script = json.dumps(html).replace("</", "<\\/").replace("<!--", "<\\!--")
print(
    f"""<!DOCTYPE html><meta charset="utf-8"><iframe id="frame" width="{width}" height="900"></iframe><script>
{checks}
const frame = document.getElementById("frame");
frame.onload = () => {{
    let result;
    try {{
        const faults = checkPage(frame.contentDocument, frame.contentWindow);
        result = faults.length ? faults.join("\\n") : "nothing is wrong";
    }} catch (error) {{
        result = "check: " + error;
    }}
    document.documentElement.textContent = "RESULT\\n" + result;
}};
frame.srcdoc = {as_script};
</script>"""
)
