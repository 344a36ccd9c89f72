"""Texts of the web UI that differ on this server: those that name another project's pages, programs and support.

The frontend merges what ``/api/i18n`` returns into its own texts, so nothing of it is changed. The texts are English in
every language: in the frontend's own they would be wrong.
"""

from collections.abc import Mapping
from typing import Any

LOCALES = ("ar", "de", "en", "es", "fa", "fr", "he", "it", "ja", "ko", "pt-BR", "ru", "tr", "zh", "zh-TW")
"""The languages of the frontend."""

TEXTS: Mapping[str, Any] = {
    "g": {
        "login": "My account",
        "logoAlt": "Safelight",
        "findOnGithub": "Get help",
        "reportIssueTooltip": "Tell the administrators of this server",
        "systemStatsComfyUIVersion": "Version of ComfyUI's API",
        "versionMismatchUpdateInstructions": "{detail} Tell the administrators of this server.",
    },
    "auth": {"loginButton": {"tooltipHelp": "Your account on this server", "tooltipLearnMore": "Help"}},
    "helpCenter": {
        "docs": "Safelight help",
        "help": "Help from this server's administrators",
        "feedback": "Give feedback to the administrators",
    },
    "menuLabels": {
        "About ComfyUI": "About Safelight",
        "ComfyUI Docs": "Safelight help",
        "ComfyUI Issues": "Report a problem",
        "ComfyUI Forum": "Ask the administrators",
        "Comfy-Org Discord": "Contact",
        "Contact Support": "Help from the administrators",
    },
    "loadWorkflowWarning": {
        "newerVersionRequired": "This server does not have some of ComfyUI's own nodes.",
        "newerVersionRequiredGeneric": "This server does not have some of ComfyUI's own nodes.",
        "coreNodesFromVersion": "Nodes saved with ComfyUI {version}:",
    },
    "nodeReplacement": {
        "instructionMessage": "This server does not have these nodes. They are highlighted in {red} on the canvas.",
        "openNodeManager": "Help",
    },
    "rightSidePanel": {
        "findOnGithubTooltip": "Open the help page of this server",
        "getHelpTooltip": "Ask the administrators of this server",
        "errorHelp": "For more help, {support}",
        "errorHelpSupport": "ask the administrators of this server",
        "missingNodePacks": {
            "title": "Nodes that this server does not have",
            "unsupportedTitle": "Nodes that this server does not have",
            "ossManagerDisabledHint": "A workflow runs here once each of its nodes is on a worker of this server.",
            "unknownPack": "From an unknown pack",
        },
        "missingModels": {
            "downloadAll": "Download all to the server",
            "downloadModel": "Download {model} to the server",
        },
    },
    "errorCatalog": {
        "missingErrors": {
            "missing_node": {
                "displayMessageOss": "This server does not have some nodes of this workflow.",
                "toastTitleOneOss": "{nodeType} is not on this server",
                "toastTitleManyOss": "Nodes are not on this server",
                "toastMessageOneOss": "The panel shows which engine, pack or version has this node.",
                "toastMessageManyOss": "The panel shows which engines, packs or versions have these {count} nodes.",
            },
            "missing_model": {
                "displayMessageOss": "Download the model to the server, or choose another one in the node.",
                "toastMessageOneOss": "{nodeName} needs a model file that this server does not have.",
                "toastMessageManyOss": "This server does not have {count} model files.",
            },
        },
        "promptErrors": {"missing_node_type": {"desc": "No worker of this server has this node."}},
    },
    "linearMode": {"error": {"github": "ask the administrators"}},
    "issueReport": {"helpFix": "Ask for help"},
    "mediaAsset": {"deleteTombstone": "They are deleted on the server"},
    "shareWorkflow": {"successDescription": "Everybody with an account here who has this link can open the workflow."},
}


def with_texts(translations: Mapping[str, Any]) -> Mapping[str, Any]:
    """The texts in every language, under the translations of node packs."""
    return {locale: _merged(TEXTS, translations.get(locale, {})) for locale in dict.fromkeys((*LOCALES, *translations))}


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """``second`` where both have a text."""
    merged = dict(first)
    for key, value in second.items():
        known = merged.get(key)
        is_group = isinstance(value, Mapping) and isinstance(known, Mapping)
        merged[key] = _merged(known, value) if is_group and known is not None else value
    return merged
