"""Accounts as people make them: the first one on the administrator's page, others by the links of invitations."""

from playwright.sync_api import Page

PASSWORD = "a long enough password"


def become_administrator(page: Page, url: str) -> None:
    """The first account of a server is made on the page itself."""
    page.goto(f"{url}/admin#users")
    page.get_by_label("Names").fill("root")
    page.get_by_label("They are administrators").check()
    page.get_by_role("button", name="Invite").click()
    accept(page, page.locator("code").inner_text())


def accept(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, again").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "invitation" not in address)


def invite(page: Page, url: str, name: str) -> str:
    """The link of a new user, made by the administrator who is signed in."""
    page.goto(f"{url}/admin#users")
    page.get_by_label("Names").fill(name)
    page.get_by_role("button", name="Invite").click()
    return page.locator("code").inner_text()
