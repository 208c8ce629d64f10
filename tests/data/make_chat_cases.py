#!/usr/bin/env python3
"""Makes chat_cases.json: conversations with the text and the token ids that apply_chat_template of Hugging Face's
transformers makes of them, for templates that do as those of Llama 3, Mistral, Qwen and ChatML models do. The templates
are written for this test; they print what the models' own print, by the same means of the language.

Usage: make_chat_cases.py SHARED_DATA OUT, where transformers is installed."""
import json
import os
import sys
import tempfile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

SHARED, OUT = Path(sys.argv[1]), Path(sys.argv[2])

LLAMA3 = r"""{{- bos_token }}
{%- if not day is defined %}
    {%- set day = "26 Jul 2024" %}
{%- endif %}
{#- The first message may be one of the system. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set told = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set told = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Cutting Knowledge Date: December 2023\nToday Date: " + day + "\n\n" }}
{{- told + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

MISTRAL = r"""{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- set asked = turns | selectattr("role", "equalto", "user") | list %}
{%- set seen = namespace() %}
{%- set seen.index = 0 %}
{%- for message in turns %}
    {%- if not (message.tool_calls is defined and message.tool_calls is not none) %}
        {%- if (message["role"] == "user") != (seen.index % 2 == 0) %}
            {{- raise_exception("roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set seen.index = seen.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in turns %}
    {%- if message["role"] == "user" %}
        {%- if message == asked[-1] and system_message is defined %}
            {{- "[INST]" + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST]" + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
"""

QWEN = r"""{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\n') %}
            {%- set thought = message.content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\n' }}
                {%- endif %}
                {%- if call.function %}
                    {%- set call = call.function %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' }}
                {{- call.name }}
                {{- '", "arguments": ' }}
                {%- if call.arguments is string %}
                    {{- call.arguments }}
                {%- else %}
                    {{- call.arguments | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
"""

CHATML = """{% for message in messages %}
{% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|im_start|>system
You are a helpful assistant.<|im_end|>
' }}
{% endif %}
  {# one turn #}
  {% if message['content'] is string %}
{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}
  {%- else -%}
{% generation %}{{ message['content'] | map(attribute='text') | join(' ') | upper }}{% endgeneration %}
  {%- endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}
"""


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


SHORT = [user("What is 2 + 2?"), assistant("4.")]
SYSTEM = [{"role": "system", "content": " Answer in verse. "}, user("Grüße,\n\n  Welt! 你好 🙂"), assistant("Hallo.\n"),
          user("And <|eot_id|> or <|im_end|>?"), assistant("  No.  ")]
TOOL = [user("How warm is it?"), assistant("", tool_calls=[call("weather", {"city": "Köln", "days": [1, 2.5], "q": "a\"b"})]),
        {"role": "tool", "content": "19 degrees"}, assistant("It is 19 degrees.")]
THOUGHT = [user("Why?"), assistant("<think>\nHm.\n</think>\n\nBecause."), user("Sure?"),
           assistant("<think>\nLet me see.\n</think>\n\nYes.")]
PARTS = [user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]), assistant("three")]

# Tokens that are not in the vocabularies at hand are put behind them.
CASES = [
    ("llama3", "tokenizers/llama3/tokenizer.json", [], {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
     LLAMA3, [SHORT, SYSTEM, TOOL]),
    ("mistral", "tokenizers/llama2/tokenizer.json", ["[INST]", "[/INST]"], {"bos_token": "<s>", "eos_token": "</s>"},
     MISTRAL, [SHORT, SYSTEM]),
    ("qwen", "tokenizers/gpt2/tokenizer.json",
     ["<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>"],
     {"eos_token": "<|im_end|>"}, QWEN, [SHORT, SYSTEM, TOOL, THOUGHT]),
    ("chatml", "tokenizers/gpt2/tokenizer.json", ["<|im_start|>", "<|im_end|>"],
     {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}, CHATML, [SHORT, SYSTEM, PARTS]),
]


def tokenizer_with(source, added, folder):
    tokenizer = json.loads(source.read_text())
    first = 1 + max([*tokenizer["model"]["vocab"].values(), *(t["id"] for t in tokenizer["added_tokens"])])
    tokens = [{"id": first + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
               "normalized": False, "special": True} for i, content in enumerate(added)]
    tokenizer["added_tokens"] += tokens
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return tokens


def main():
    cases = []
    for name, source, added, special, template, conversations in CASES:
        with tempfile.TemporaryDirectory() as folder:
            tokens = tokenizer_with(SHARED / source, added, Path(folder))
            tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"), **special)
        tokenizer.chat_template = template
        made = []
        for messages in conversations:
            text = tokenizer.apply_chat_template(messages, tokenize=False)
            ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
            made.append({"messages": messages, "text": text, "ids": list(ids)})
        cases.append({"name": name, "tokenizer": source, "added_tokens": tokens, "special": special,
                      "chat_template": template, "conversations": made})
    OUT.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    print(f"{sum(len(c['conversations']) for c in cases)} conversations, {OUT.stat().st_size} bytes")


main()
