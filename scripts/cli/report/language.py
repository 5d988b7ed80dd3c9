"""The words of a report, in English and in Chinese."""

import locale
import os
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES = ("auto", *get_args(Language))  # of --lang

CHINESE = {
    "accuracy and other scores on the test split": "测试集上的得分",
    "95 % interval": "95 % 置信区间",
    "best epoch": "最佳轮次",
    "best": "最佳",
    "class": "类别",
    "code": "代码",
    "commit": "提交",
    "compared with the baseline": "与基线的比较",
    "cost": "开销",
    "data": "数据",
    "devices": "设备",
    "end": "结束",
    "every setting": "全部设置",
    "example": "样本",
    "examples": "样本数",
    "examples a second": "每秒样本数",
    "f1": "F1",
    "how to go on": "下一步",
    "input": "输入",
    "intervals: bootstrap over the {size} test examples": "置信区间：对 {size} 个测试样本做自助法（bootstrap）",
    "loss": "损失",
    "machine": "机器",
    "metric": "指标",
    "model": "模型",
    "solid: validation; dashed: training": "实线：验证；虚线：训练",
    "most wrong predictions": "错得最多的预测",
    "not a repository": "不是 git 仓库",
    "not clean: the code had changes that are not committed": "不干净：代码中有未提交的修改",
    "clean": "干净",
    "notes about the data": "关于数据的说明",
    "parameters": "参数量",
    "partial": "不完整",
    "pictures": "图",
    "precision": "精确率",
    "prediction": "预测",
    "probability": "概率",
    "recall": "召回率",
    "report of the run": "运行报告",
    "run": "运行",
    "scores of the classes": "各类别的得分",
    "seed": "随机种子",
    "setting": "设置",
    "settings that differ from the recipe": "与配方不同的设置",
    "none": "无",
    "target": "真值",
    "test": "测试",
    "the run has no results yet; this is what it has logged so far": "这次运行还没有结果；以下是目前为止的记录",
    "trained in": "训练用时",
    "value": "值",
    "versions": "版本",
    "the model is better than {name}: {metric} {score}, {name} {other}": (
        "模型优于{name}：{metric} {score}，{name} {other}"
    ),
    "the model is NOT better than {name}: {metric} {score}, {name} {other}": (
        "模型没有优于{name}：{metric} {score}，{name} {other}"
    ),
    "trivial": "平凡基线",
    "boosting": "梯度提升",
    "logistic": "逻辑回归",
    "ridge": "岭回归",
    "linear": "线性自回归",
    "seasonal": "季节性重复",
    "class_mean": "最近类均值",
    "pretrained_class_mean": "预训练特征的最近类均值",
    "propagation": "标签传播",
    "memory": "翻译记忆",
    "all test examples, worst first, are in test_predictions.csv": (
        "全部测试样本按错误程度排列在 test_predictions.csv 中"
    ),
    "predict": "预测",
    "dashboard": "仪表盘",
    "train": "训练",
    "val": "验证",
    "train / validate / test": "训练 / 验证 / 测试",
    "seconds": "秒",
    "the curves of training": "训练曲线",
    "max_epochs": "完成全部轮次",
    "max_steps": "达到最大步数",
    "max_time": "达到时间上限",
    "early_stopping": "提前停止",
    "fast_dev_run": "仅试运行",
    "stopped": "被要求停止",
    "epoch {epoch}": "第 {epoch} 轮",
    # pictures
    "attention": "注意力",
    "before and after": "各层之前与之后",
    "coefficients": "系数",
    "confusion matrix": "混淆矩阵",
    "curves": "精确率-召回率、ROC 与可靠性曲线",
    "error by step ahead": "各预测步长的误差",
    "features": "特征",
    "first batch": "第一个批次",
    "first-layer filters": "第一层的滤波器",
    "forecasts": "预测窗口",
    "generated": "生成的图像",
    "generated over time": "生成图像随训练的变化",
    "graphs": "图结构",
    "importance of columns": "各列的重要性",
    "interpolation": "插值",
    "reconstructions": "重建的图像",
    "residuals": "残差",
    "scores of the labels": "各标签的得分",
    "strip": "整段预测",
    "where it looks (Grad-CAM)": "关注的区域（Grad-CAM）",
    "worst mistakes": "错得最多的样本",
    "worst translations": "最差的译文",
}


class Words:
    """Texts in a language.

    Args:
        language: `en` or `zh`.
    """

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, text: str, **values: object) -> str:
        """A text in the language, with values filled in; what is not known in Chinese stays English."""
        known = CHINESE.get(text, text) if self.language == "zh" else text
        return known.format(**values) if values else known


def language_of(name: str) -> Language:
    """The language that `--lang` names: `auto` is Chinese where the system is."""
    if name in ("en", "zh"):
        return name  # type: ignore[return-value]
    named = next((os.environ[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(key)), None)
    system = named or locale.getlocale()[0] or ""
    return "zh" if system.lower().startswith(("zh", "chinese")) else "en"
