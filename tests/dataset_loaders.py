"""Opens a merged dataset with the field's own loaders: python3 tests/dataset_loaders.py ROOT
Needs nuscenes-devkit, pycocotools and cityscapesScripts from PyPI; says which of them is missing and leaves that format out."""
import glob
import importlib.util
import os
import sys

import numpy as np


def nuscenes(root):
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.geometry_utils import BoxVisibility
    from nuscenes.utils.splits import get_scenes_of_custom_split

    nusc = NuScenes(version="v1.0-kinora", dataroot=os.path.join(root, "nuscenes"), verbose=False)
    splits = {s: set(get_scenes_of_custom_split(s, nusc)) for s in ("train", "val")}
    names = {s["name"] for s in nusc.scene}
    assert splits["train"] | splits["val"] == names and not splits["train"] & splits["val"], splits
    boxes = pictures = 0
    for sample in nusc.sample:
        for token in sample["data"].values():
            path, found, intrinsic = nusc.get_sample_data(token, box_vis_level=BoxVisibility.ANY)
            if nusc.get("sample_data", token)["sensor_modality"] == "camera":
                assert os.path.getsize(path) > 0 and np.asarray(intrinsic).shape == (3, 3)
            boxes += len(found)
            pictures += 1
    for annotation in nusc.sample_annotation:
        assert np.isfinite(nusc.box_velocity(annotation["token"])).all() or annotation["next"] == annotation["prev"]
    for record in nusc.map:
        assert record["mask"].mask().ndim == 2
    print(f"nuscenes-devkit: {len(nusc.scene)} scenes ({len(splits['train'])} train, {len(splits['val'])} val), {len(nusc.sample)} samples,"
          f" {pictures} files, {len(nusc.sample_annotation)} annotations, {boxes} boxes in view")


def pycocotools(root):
    from pycocotools.coco import COCO

    for path in sorted(glob.glob(os.path.join(root, "coco", "instances_*.json"))):
        coco = COCO(path)
        for image in coco.loadImgs(coco.getImgIds()):
            assert os.path.isfile(os.path.join(root, image["file_name"]))
            for a in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
                mask = coco.annToMask(a)
                ys, xs = np.nonzero(mask)
                assert mask.shape == (image["height"], image["width"]) and mask.sum() == a["area"], a
                assert a["bbox"] == [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1], a
        print(f"pycocotools: {path}: {len(coco.imgs)} pictures, {len(coco.anns)} masks that fill their boxes")


def cityscapesscripts(root):
    from cityscapesscripts.evaluation.instances2dict import instances2dict
    from cityscapesscripts.helpers.csHelpers import getCsFileInfo
    from cityscapesscripts.helpers.labels import id2label
    from PIL import Image

    count = 0
    for path in sorted(glob.glob(os.path.join(root, "cityscapes", "gtFine", "*", "*", "*_gtFine_labelIds.png"))):
        info = getCsFileInfo(path)
        picture = path.replace("gtFine", "leftImg8bit", 1).replace("_gtFine_labelIds.png", "_leftImg8bit.png")
        ids, colour = np.asarray(Image.open(path)), np.asarray(Image.open(path.replace("labelIds", "color")))
        assert os.path.basename(os.path.dirname(path)) == info.city
        assert np.asarray(Image.open(picture)).shape[:2] == ids.shape
        for i in np.unique(ids):
            assert (colour[ids == i][:, :3] == id2label[int(i)].color).all(), (path, i)
        instances = np.asarray(Image.open(path.replace("labelIds", "instanceIds")))
        assert (np.where(instances < 1000, instances, instances // 1000) == ids).all(), path
        instances2dict([path.replace("labelIds", "instanceIds")], False)
        count += 1
    print(f"cityscapesScripts: {count} pictures, classes, colours and instances as its labels.py has them")


def main():
    root, missing = sys.argv[1], 0
    for package, check in (("nuscenes", nuscenes), ("pycocotools", pycocotools), ("cityscapesscripts", cityscapesscripts)):
        if importlib.util.find_spec(package):
            check(root)
        else:
            print(f"{package} is not installed: its format was not opened")
            missing += 1
    return 77 if missing == 3 else 0


if __name__ == "__main__":
    sys.exit(main())
