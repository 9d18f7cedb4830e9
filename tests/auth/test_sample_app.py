"""The demonstration as somebody tries it: from the start page to a patient's record."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip("playwright.async_api")

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

_SIGN_IN = re.compile(r"^  (admin|doctor|nurse|patient|support) +(\S+)", re.MULTILINE)


@contextmanager
def demonstration(folder):
    """`fhirserver demo`; gives its address and the passwords that it prints."""
    command = [sys.executable, "-m", "fhirserver", "demo", "--patients", "3", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data", str(folder)], stdout=subprocess.PIPE, text=True, cwd=folder.parent
    )
    try:
        told = ""
        for line in process.stdout:
            told += line
            if line.startswith("Start page"):
                break
        yield line.split()[-1], dict(_SIGN_IN.findall(told))
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
async def page(tmp_path):
    with demonstration(tmp_path / "data") as (address, passwords):
        async with playwright.async_playwright() as runner:
            browser = await runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await browser.new_page()
            page.passwords, page.told = passwords, []
            page.on("console", lambda message: page.told.append(message.text))
            await page.goto(address)
            yield page
            await browser.close()


async def sign_in(page, name):
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password", exact=True).fill(page.passwords[name])
    await page.get_by_role("button", name="Sign in").first.click()


async def test_the_sample_app_is_two_clicks_away(page):
    assert set(page.passwords) == {"admin", "doctor", "nurse", "patient", "support"}
    await page.get_by_role("link", name="Sample app").click()
    await page.get_by_role("button", name="Connect").click()
    await sign_in(page, "patient")
    await page.get_by_role("button", name="Allow", exact=True).click()
    banner = page.locator("#banner")
    await banner.wait_for()

    assert "born" in await banner.inner_text()
    assert await page.locator("#vitals tr").count() > 0
    assert "code=" not in page.url
    assert not [text for text in page.told if "Content Security Policy" in text]

    await page.get_by_role("button", name="Give the access back").click()
    await page.get_by_text("The access was given back.").wait_for()


async def test_every_role_can_sign_in_and_support_sees_no_record(page):
    for name in ("admin", "doctor", "nurse", "support"):
        await page.context.clear_cookies()
        await page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + "/auth/sign-in")
        await sign_in(page, name)
        await page.wait_for_url("**/auth/account")

    await page.goto(page.url.replace("/auth/account", "/sample-app/"))
    await page.get_by_role("button", name="Connect").click()
    await page.get_by_label("Name").fill("a")
    await page.get_by_role("button", name="Search").click()

    assert await page.get_by_role("button", name="Choose").count() == 0
