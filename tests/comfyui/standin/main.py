"""Starts as ComfyUI does: packs, routes, a thread that runs prompts, then the server."""

import asyncio
import logging
import sys
import threading

import execution
import folder_paths
import server
from comfy import model_management, utils
from comfy.cli_args import args
from comfy_execution import progress
from comfy_execution.utils import get_executing_context

import nodes


def read_model_paths():
    import json

    for path in args.extra_model_paths_config:
        with open(path, encoding="utf-8") as file:
            for section in json.load(file).values():
                is_default = section.pop("is_default", False)
                for name, paths in section.items():
                    for each in paths.split("\n"):
                        folder_paths.add_model_folder_path(name, each, is_default)


def run_prompts(prompt_server):
    executor = execution.PromptExecutor(prompt_server)
    while True:
        item, number = prompt_server.prompt_queue.get()
        executor.execute(item[2], item[1], {**item[3], **item[5]}, item[4])
        status = execution.Status("success" if executor.success else "error", executor.success, [])
        prompt_server.prompt_queue.task_done(number, executor.history_result, status=status)
        flags = prompt_server.prompt_queue.take_flags()
        if flags.get("unload_models"):
            model_management.unload_all_models()
        if flags.get("free_memory"):
            executor.reset()


def report_progress(prompt_server):
    def hook(value, total, preview, node_id=None):
        context = get_executing_context()
        node_id = node_id or (context.node_id if context is not None else None)
        model_management.throw_exception_if_processing_interrupted()
        progress.get_progress_state().update_progress(node_id, value, total, preview)
        prompt_server.send_sync("progress", {"value": value, "max": total, "node": node_id})

    utils.set_progress_bar_global_hook(hook)


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    read_model_paths()
    nodes.run_prestartup_scripts()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    prompt_server = server.PromptServer(loop)
    nodes.import_packs()
    prompt_server.add_routes()
    report_progress(prompt_server)
    threading.Thread(target=run_prompts, args=(prompt_server,), daemon=True).start()

    async def start():
        await prompt_server.start_multi_address([("127.0.0.1", 8188)])
        await asyncio.Event().wait()

    loop.run_until_complete(start())


main()
