import torch
from tokenizers import Tokenizer

from datamodules.tokenizing.chat_template import CHATML, ChatTemplate
from datamodules.tokenizing.coloured import Piece, coloured
from datamodules.tokenizing.packing import Answered
from datamodules.tokenizing.tokens import Ragged, token_id
from tests.helpers.chat_templates import CLOSING, tokenizer_for_templates

TOKENIZER: Tokenizer = tokenizer_for_templates()


def test_the_pieces_of_a_row_are_its_texts_and_what_counts_in_them() -> None:
    template = ChatTemplate(CHATML, TOKENIZER.to_str(), None, token_id(TOKENIZER, CLOSING))
    conversations = [
        [("user", "你好 😀"), ("assistant", "你好！")],
        [("user", "12 + 7?"), ("assistant", "19"), ("user", "Yes"), ("assistant", "Hi")],
    ]
    examples = [
        next(template.examples([{"role": role, "content": content} for role, content in conversation]))
        for conversation in conversations
    ]
    tokens = Answered(Ragged(Answered.stored(enumerate(examples))))
    texts = [
        [
            Piece("<|im_start|>user\n你好 😀<|im_end|>\n<|im_start|>assistant\n", False),
            Piece("你好！<|im_end|>", True),
        ],
        [
            Piece("<|im_start|>user\n12 + 7?<|im_end|>\n<|im_start|>assistant\n", False),
            Piece("19<|im_end|>", True),
            Piece("\n<|im_start|>user\nYes<|im_end|>\n<|im_start|>assistant\n", False),
            Piece("Hi<|im_end|>", True),
        ],
    ]
    width = int(tokens.sizes.sum()) + 3
    packed = tokens.packed(torch.tensor([0, 1]), torch.tensor([2]), width, padding=token_id(TOKENIZER, "<|im_end|>"))
    assert coloured(packed, 0, TOKENIZER) == texts
    alone = tokens.packed(torch.tensor([1]), torch.tensor([1]), width, padding=0)._replace(documents=None)
    assert coloured(alone, 0, TOKENIZER) == texts[1:]
