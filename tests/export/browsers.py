"""The server's page in a Chromium without windows."""

import base64

from tests import browser as any_browser
from tests.export import servers

CHROMIUM = any_browser.CHROMIUM
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # It films a pattern.


class Browser(any_browser.Browser):
    """A tab with the server's page."""

    def open(self, url, until="!!about"):
        """Opens a page, and waits until it knows the model, or for another condition of JavaScript."""
        super().open(url, until)

    def drop(self, content: bytes, kind="image/png"):
        """Drops a file on the page, and waits for the answer or the problem."""
        encoded = base64.b64encode(content).decode()
        self.value(
            f"""(() => {{
                const bytes = Uint8Array.from(atob({encoded!r}), c => c.charCodeAt(0)), given = new DataTransfer();
                given.items.add(new File([bytes], "a picture", {{type: {kind!r}}}));
                shown = null;
                document.dispatchEvent(new DragEvent("drop", {{dataTransfer: given, cancelable: true}}));
            }})()"""
        )
        servers.until(lambda: self.value("!!shown || !!$('problem').textContent"), seconds=30)

    def rows(self):
        """Texts of the table."""
        return self.value("[...document.querySelectorAll('#list tr')].slice(1).map(row => row.innerText)")

    def pixel(self, y, x):
        """RGB of the drawing at a pixel of the picture."""
        factor = "$('canvas').width / shown.answer.image_size[1]"
        drawn = f"$('canvas').getContext('2d').getImageData({x} * {factor}, {y} * {factor}, 1, 1)"
        return self.value(f"[...{drawn}.data].slice(0, 3)")

    def filmed(self, places):
        """RGB of the picture that was sent at [y, x] of it, for each."""
        return self.value(
            f"""(() => {{
                const context = document.createElement("canvas").getContext("2d");
                [context.canvas.width, context.canvas.height] = [shown.picture.width, shown.picture.height];
                context.drawImage(shown.picture, 0, 0);
                return {places}.map(([y, x]) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3));
            }})()"""
        )


def browser(*flags):
    """A context of such a tab, with a camera of its own."""
    return any_browser.browser(*CAMERA, *flags, tab=Browser)
