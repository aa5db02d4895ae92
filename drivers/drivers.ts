/**
 * The drivers in the image. Each registers its chips when its module starts, so a new driver is
 * its file and a line here.
 */
import "./e1000";
import "./e1000e";
import "./memory-link";
import "./rtl8139";
import "./virtio/net";
