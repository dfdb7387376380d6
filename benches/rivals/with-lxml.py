"""The filter as a user would write it in Python: fills the mdevs of the domain on standard input. Argument: /sys"""

import os
import sys

from lxml import etree

domain = etree.parse(sys.stdin.buffer)
for address in domain.iterfind("devices/hostdev[@type='mdev']/source/address[@uuid]"):
    device = os.path.realpath(os.path.join(sys.argv[1], "bus/mdev/devices", address.get("uuid")))
    parent = os.path.dirname(device)
    with open(os.path.join(parent, "vendor")) as vendor, open(os.path.join(parent, "device")) as product:
        identity = {"vendorid": vendor.read().strip(), "productid": product.read().strip()}
    identity["mdevtype"] = os.path.basename(os.readlink(os.path.join(device, "mdev_type")))
    before = address
    lead = before.getparent().text
    end = before.tail
    for name, value in identity.items():
        element = etree.Element(name)
        element.text = value
        before.addnext(element)
        before.tail = lead
        before = element
    before.tail = end
sys.stdout.buffer.write(etree.tostring(domain) + b"\n")
