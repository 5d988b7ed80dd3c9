"""The published data sets that come with the project: their addresses and checksums.

Imports nothing heavy: `known_datasets` reads the names from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """One file of a published data set.

    Args:
        url: https address.
        checksum: `sha256:…` or `md5:…` as its publisher states it; None where no one states any: then only the
            length of the download, and an archive's own checksums, are verified.
        unpacked: the checksum of the content of a `.gz`, where it is known: many keep it unpacked.
        file: the name that it is kept under, where that of its publisher says nothing.
    """

    url: str
    checksum: str | None = None
    unpacked: str | None = None
    file: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file or self.url.rsplit("/", 1)[-1]

    def is_like(self, other: "Remote") -> bool:
        """Whether another file has the same name."""
        return self.name == other.name and self != other

    @property
    def is_archive(self) -> bool:
        """Whether it contains several files."""
        return self.name.endswith((".zip", ".tar.gz"))

    @property
    def is_packed(self) -> bool:
        """Whether it is a single compressed file."""
        return self.name.endswith(".gz") and not self.is_archive


Remotes = dict[str, tuple[Remote, ...]]  # the files of each data set

_PLANETOID = "https://github.com/kimiyoung/planetoid/raw/master/data/"
_PLANETOID_SHA256: dict[str, dict[str, str | None]] = {
    "cora": {
        "x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
        "tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    },
    "citeseer": {
        "x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
        "tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    },
    "pubmed": {
        "x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
        "y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
        "tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
        "ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
        "allx": None,
        "ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
        "graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
        "test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
    },
}

PLANETOID: Remotes = {
    name: tuple(
        Remote(f"{_PLANETOID}ind.{name.lower()}.{part}", digest and f"sha256:{digest}")
        for part, digest in _PLANETOID_SHA256[name.lower()].items()
    )
    for name in ("Cora", "CiteSeer", "PubMed")
}

# The names of https://chrsmrrs.github.io/datasets/docs/datasets/ whose task is to classify graphs.
_TUDATASETS = """
AIDS BZR BZR_MD COX2 COX2_MD DHFR DHFR_MD ER_MD Mutagenicity MUTAG NCI1 NCI109 PTC_FM PTC_FR PTC_MM PTC_MR
DD ENZYMES KKI OHSU Peking_1 PROTEINS PROTEINS_full COIL-DEL COIL-RAG Cuneiform Fingerprint FIRSTMM_DB
Letter-high Letter-low Letter-med MSRC_9 MSRC_21 MSRC_21C COLLAB dblp_ct1 dblp_ct2 DBLP_v1 deezer_ego_nets
facebook_ct1 facebook_ct2 github_stargazers highschool_ct1 highschool_ct2 IMDB-BINARY IMDB-MULTI infectious_ct1
infectious_ct2 mit_ct1 mit_ct2 REDDIT-BINARY REDDIT-MULTI-5K REDDIT-MULTI-12K reddit_threads twitch_egos
TWITTER-Real-Graph-Partial tumblr_ct1 tumblr_ct2 COLORS-3 SYNTHETIC SYNTHETICnew Synthie TRIANGLES
""".split()  # noqa: SIM905 (a list of sixty quoted names reads worse)

TUDATASETS: Remotes = {
    name: (Remote(f"https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip"),) for name in _TUDATASETS
}

_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
IMAGES: Remotes = {
    "MNIST": (
        Remote(
            _MNIST + "train-images-idx3-ubyte.gz",
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        Remote(
            _MNIST + "train-labels-idx1-ubyte.gz",
            "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        Remote(
            _MNIST + "t10k-images-idx3-ubyte.gz",
            "md5:9fb629c4189551a2d022fa330f9573f3",
            "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        Remote(
            _MNIST + "t10k-labels-idx1-ubyte.gz",
            "md5:ec29112dd5afa0611ce80d1b7f02629c",
            "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "FashionMNIST": (
        Remote(_FASHION + "train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Remote(_FASHION + "train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
        Remote(_FASHION + "t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
        Remote(_FASHION + "t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    # The binary release: the usual one is a pickle, which could run code.
    "CIFAR10": (
        Remote("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    ),
}

_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/"
_ETT_SHA256: dict[str, str | None] = {
    "ETTh1": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "ETTh2": "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
    "ETTm1": None,  # no checksum is published
    "ETTm2": None,
}
SERIES: Remotes = {
    name: (Remote(f"{_ETT}{name}.csv", digest and f"sha256:{digest}"),) for name, digest in _ETT_SHA256.items()
}

_WNUT17 = "https://raw.githubusercontent.com/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"
_CLUENER2020 = "https://raw.githubusercontent.com/hemingkx/CLUENER2020/4bfd0b5fdd1537558f0c32dd28339af1f337afc9/BiLSTM-CRF/data/clue/"
_RESUME = "https://raw.githubusercontent.com/jiesutd/LatticeLSTM/24d17f4270f11d2f75046789d8b67eaa2b907dce/ResumeNER/"
ENTITIES: Remotes = {
    "WNUT17": (
        Remote(
            _WNUT17 + "wnut17train.conll", "sha256:731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5"
        ),
        Remote(
            _WNUT17 + "emerging.dev.conll", "sha256:e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8"
        ),
        Remote(
            _WNUT17 + "emerging.test.annotated",
            "sha256:2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
        ),
    ),
    # The publisher's test labels are not public: what is called test.json here is the official dev split.
    "CLUENER2020": (
        Remote(_CLUENER2020 + "train.json", "sha256:b7e9f0802e86943c8af76f8375ae5ed00f15703484092e81579f241db4d0664a"),
        Remote(_CLUENER2020 + "test.json", "sha256:90036b59832e007c45d11eafe5ed80549f58a18a29aaa7fe8b1229622c69ec38"),
    ),
    "Resume": (
        Remote(_RESUME + "train.char.bmes", "sha256:93b9bb0be5dd4730121587f9dc1378de3fbbe55cba1c575edec271f822c27be7"),
        Remote(_RESUME + "dev.char.bmes", "sha256:1b0d67153e6e8543e9444936ed1b107bd843078c282533898085e1a9aa293952"),
        Remote(_RESUME + "test.char.bmes", "sha256:c4a9f42622819a4b59f66e184d446ebfa89b2f1dbba06e11d70675e59fe7e79b"),
    ),
}

_MULTI30K = (
    "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/"
)
_MULTI30K_SHA256 = {
    "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.fr": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.fr": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.en": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.de": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.fr": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}
_MULTI30K_UNPACKED_SHA256 = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
}
_TATOEBA = (
    "https://raw.githubusercontent.com/DaoChaShao/py-st-dl-translater-2.0/620408eda1721f683e2413778ad19e4f94691053/"
)
TRANSLATIONS: Remotes = {
    "Multi30k": tuple(
        Remote(f"{_MULTI30K}{file}.gz", f"sha256:{digest}", f"sha256:{_MULTI30K_UNPACKED_SHA256[file]}")
        for file, digest in _MULTI30K_SHA256.items()
    ),
    "Tatoeba": (
        Remote(_TATOEBA + "data/cmn.txt", "sha256:9da1af87e3e61650aa38595e60baef3a4e3a18ed239a7ef4a764c0a87c7ddeff"),
    ),
}

_CHINESE = (
    "https://raw.githubusercontent.com/SophonPlus/ChineseNlpCorpus/a0b781d72158bde242c0626c9e354d2b328865ff/datasets/"
)
_SENT_CONV = (
    "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data/raw/"
)
_SST2 = (
    "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/"
    "457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2/"
)
_THUCNEWS = (
    "https://raw.githubusercontent.com/649453932/Chinese-Text-Classification-Pytorch/"
    "6cb26819af7b646275aff8a4693676f2849e67f6/THUCNews/data/"
)
TEXTS: Remotes = {
    "SST-2": (
        Remote(_SST2 + "train.tsv", "sha256:ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920"),
        Remote(_SST2 + "dev.tsv", "sha256:eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359"),
        Remote(_SST2 + "test.tsv", "sha256:831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7"),
    ),
    "TREC": (
        Remote(_SENT_CONV + "TREC.train", "sha256:9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"),
        Remote(_SENT_CONV + "TREC.test", "sha256:033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e"),
    ),
    "MR": (
        Remote(
            _SENT_CONV + "rt-polarity.neg", "sha256:4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca"
        ),
        Remote(
            _SENT_CONV + "rt-polarity.pos", "sha256:2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0"
        ),
    ),
    "ChnSentiCorp": (
        Remote(
            _CHINESE + "ChnSentiCorp_htl_all/ChnSentiCorp_htl_all.csv",
            "sha256:1d414b9c65caf3a836abdb4efded621968502ad3338e1a9d885ae131c86083f0",
        ),
    ),
    "waimai": (
        Remote(
            _CHINESE + "waimai_10k/waimai_10k.csv",
            "sha256:b8b5c11c00b51578d35937fca56e03a126b45381f1ea4b22893237cb377a26fe",
        ),
    ),
    "THUCNews": (
        Remote(_THUCNEWS + "class.txt", "sha256:005e8813ad639c219e5902dc84889202b4a717b4238497d26c3fbd5e43927a86"),
        Remote(_THUCNEWS + "train.txt"),  # no checksum is published
        Remote(_THUCNEWS + "dev.txt", "sha256:6ed73aa2c57ee1560c8f76570d48735c4b1c29ae4983fe3523d56e115813e175"),
        Remote(_THUCNEWS + "test.txt", "sha256:ebecc8c896635ad69730083ca7b81d37c42c9a5779bc05c9d2479d894e34f026"),
    ),
}

_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
_CMRC = "https://raw.githubusercontent.com/ymcui/cmrc2018/c0eb1b6ba219847457e6af3180da722bbeb656af/squad-style-data/"
_XQUAD = "https://raw.githubusercontent.com/deepmind/xquad/60cac411649156efb6aab9dd4c9cde787a2c0345/"
QUESTIONS: Remotes = {
    "SQuAD": (
        Remote(_SQUAD + "train-v1.1.json", "sha256:3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955"),
        Remote(_SQUAD + "dev-v1.1.json", "sha256:95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"),
    ),
    "SQuAD2": (
        Remote(_SQUAD + "train-v2.0.json", "sha256:68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002"),
        Remote(_SQUAD + "dev-v2.0.json", "sha256:80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8"),
    ),
    # The dev split is trained on and the trial split tested on: the publisher keeps the answers of the test split.
    "CMRC2018": (
        Remote(_CMRC + "cmrc2018_dev.json", "sha256:e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f"),
        Remote(
            _CMRC + "cmrc2018_trial.json", "sha256:f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3"
        ),
    ),
    "XQuAD-en": (
        Remote(_XQUAD + "xquad.en.json", "sha256:e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29"),
    ),
    "XQuAD-zh": (
        Remote(_XQUAD + "xquad.zh.json", "sha256:691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835"),
    ),
}

_CHAR_RNN = "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/"
CORPORA: Remotes = {
    "tinyshakespeare": (
        Remote(
            _CHAR_RNN + "data/tinyshakespeare/input.txt",
            "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            file="tinyshakespeare.txt",
        ),
    ),
}
