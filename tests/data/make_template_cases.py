#!/usr/bin/env python3
"""Makes template_cases.json: pieces of templates with what Jinja 2 makes of them, in an environment as Hugging Face's
apply_chat_template has it. Usage: make_template_cases.py OUT, where jinja2 is installed."""
import json
import sys
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

MESSAGES = [{"role": "system", "content": " Be kind. ", "n": 3, "tags": ["b", "a"]},
            {"role": "user", "content": "Größe 5", "n": None}, {"role": "assistant", "content": "<a>\n'x' \"y\"", "n": 1.5}]

TEMPLATES = """
{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 1.0 + 2 }}
{{ 'a' ~ 1 ~ none ~ true }} {{ 'ab' * 2 }} {{ [1] + [2, 'x'] }} {{ {'k': [1, none], "l": 'q"'} }}
{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ not 1 == 2 }} {{ 3 in [1, 3] }} {{ 'z' not in 'xyz' }}
{{ 1 if false }}|{{ 1 if false else 2 if false else 3 }}|{{ none or 'x' }}|{{ 0 and 1 }}|{{ missing or 'd' }}
{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[0].tags[1] }} {{ messages[1].none }} {{ messages|length }}
{{ messages[1].content[:3] }} {{ messages[1].content[::-1] }} {{ messages[1].content[-2:] }} {{ [1, 2, 3, 4][1:-1] }} {{ [1, 2, 3][::2] }}
{{ messages[0].content|trim }}|{{ messages[0].content.strip() }}|{{ ' x '.lstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abc'.rstrip('bc') }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ '-'.join(['a', 'b']) }} {{ 'aXbX'.replace('X', '') }}
{{ 'ab'.startswith('a') }} {{ 'ab'.endswith(('x', 'b')) }} {{ 'ab'.upper() }} {{ 'aB cD'.title() }} {{ 'aB'|capitalize }} {{ 'abcb'.find('b') }}
{{ messages|map(attribute='role')|join(', ') }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ [3, 0, 1]|select|list }}
{{ messages|rejectattr('n')|map(attribute='role')|list }} {{ messages|selectattr('n', 'defined')|list|length }} {{ [1, 2, 3]|reject('odd')|list }}
{{ messages|tojson }} {{ {'a': 1.5, 'ü': true, 'n': none}|tojson(indent=2) }} {{ 'a\\tb\\\\c\\u00e9\\n'|tojson }}
{{ messages[0].items()|map('first')|join(' ') }} {{ messages[0].get('x', 7) }} {{ messages[0].get('x') }} {{ messages[0].keys()|list }} {{ {'b': 1, 'a': 2}|dictsort|map('last')|list }}
{{ x is defined }} {{ messages is defined }} {{ none is none }} {{ 'a' is string }} {{ [] is iterable }} {{ {} is mapping }} {{ 1 is number }} {{ 2 is even }} {{ 3 is not odd }} {{ 9 is divisibleby 3 }}
{{ x|default('d') }} {{ ''|default('e', true) }} {{ none|d('f') }} {{ '5'|int + 1 }} {{ 'q'|int }} {{ -3|abs }} {{ [1, 2]|first }} {{ [1, 2]|last }} {{ 'ab'|list }}
{% set a = 1 %}{% for m in messages %}{% set a = a + 1 %}{% endfor %}{{ a }} {% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ ns.n }}
{% for m in messages if m.role != 'user' %}{{ loop.index0 }}/{{ loop.length }}{{ '.' if loop.last else ',' }}{{ loop.revindex }}{% else %}none{% endfor %}{% for m in [] %}{% else %}empty{% endfor %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}{{ range(1, 8, 3)|list }}
{% macro tag(x, y='d') %}<{{ x }}:{{ y }}>{% endmacro %}{{ tag(1) }}{{ tag('a', y=2) }}{% set s %} in {{ 1 }} {% endset %}[{{ s }}]{% raw %}{{ not }}{% endraw %}
{% if messages[5] is defined %}a{% elif messages[1].n is none %}b{% else %}c{% endif %}{{ loop is defined }}{{ 'a' 'b' }}{{ "it's" }}{{ ['it\\'s'] }}{{ (1, 2)|length }}
{{ 0.1 }} {{ 1e0 if false else 100000000000000000000.0 }} {{ 3.0 }} {{ true + 1 }} {{ [true, none] }} {{ '%' }} {{ '}}' }} {{ {'a': {'b': 1}}.a.b }} {{ {'x': 1}['x'] }}
{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}>{{ loop.nextitem.role if not loop.last else '-' }} {% endfor %}{{ 'x\\ny\\n\\nz'|indent(2) }}{{ 'x\\ny'|indent(2, true) }}
""".strip("\n").split("\n")

# White space round tags.
TEMPLATES += ["a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a {%- if true -%} b {%- endif %} c", "x\n\t{%+ if true %}y{% endif +%}\nz",
              "a\n  {# c #}\nb\n   {{ 1 }}\n  c\n\n", "{% if true %}\n\n a{% endif %}\n\n", "  {{- 'a' -}}  \n b", "a  {#- c -#}  b",
              "{%- for m in messages %}\n    {{- m.role }}\n{%- endfor %}\n", "  {% set a = 1 %}  {{ a }}\r\n{% set b = 2 %}\r\nx", "{% if true %} {% if true %}\n  {% endif %}\n{% endif %}y"]


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    cases = [{"template": t, "text": environment.from_string(t).render(messages=MESSAGES)} for t in TEMPLATES]
    Path(sys.argv[1]).write_text(json.dumps({"messages": MESSAGES, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
    print(len(cases), "templates")


main()
