"""Talk to a language model, from its checkpoint alone.

python scripts/chat.py --checkpoint lightning_logs/llm_chat/version_0
python scripts/chat.py --checkpoint lightning_logs/llm_chat/version_0 --system "You answer in one sentence."
python scripts/chat.py --checkpoint lightning_logs/llm_chat/version_0 --prompt "12 + 7 = ?"      one answer
python scripts/chat.py --checkpoint lightning_logs/llm_chat/version_0 < question.txt             likewise
python scripts/chat.py --checkpoint lightning_logs/llm/version_0 --prompt "Once upon a time"     continues a text
python scripts/chat.py --checkpoint SmolLM2-135M-Instruct     a folder as transformers writes it

Ctrl-C stops an answer, Ctrl-D (on Windows Ctrl-Z and Enter) ends the chat; /new begins another conversation.

  --system TEXT          what the model is told before
  --temperature 0.7      0 for the most probable token; higher for more variety
  --top_k 50             choose among so many of the most probable tokens
  --top_p 0.95           among the most probable ones whose probabilities sum to this
  --min_p 0.05           among those at least this fraction as probable as the most probable one
  --repetition 1.1       weakens tokens that the text already has; 1 for not
  --max_tokens 512       of an answer
  --seed 0               another one gives other answers; without it each chat has its own
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("chat", words)


if __name__ == "__main__":
    main(sys.argv[1:])
