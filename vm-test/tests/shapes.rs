//! Devices of every shape, and rings of every size: the same traffic arrives unchanged.

use vm_test::{Backend, Guest, HostNet, Lab, Machine, Nic, Result, Umnet, scenario, traffic};

/// A device, how umnet is run on it, and what `umnet status` must say then.
struct Shape {
    id: &'static str,
    make: fn(Nic) -> Nic,
    options: &'static str,
    lacks: Option<&'static str>,
    takes: Option<&'static str>,
    rx_ring: u64,
    mtu: u64,
}

const PLAIN: Shape = Shape {
    id: "plain",
    make: |nic| nic,
    options: "",
    lacks: None,
    takes: None,
    rx_ring: 256,
    mtu: 1500,
};

const SHAPES: [Shape; 14] = [
    Shape {
        id: "ring8",
        options: "--rx-ring 8 --tx-ring 8",
        rx_ring: 8,
        ..PLAIN
    },
    Shape {
        id: "ring64",
        options: "--rx-ring 64 --tx-ring 64",
        rx_ring: 64,
        ..PLAIN
    },
    Shape {
        id: "ring1024",
        make: |nic| nic.rx_queue_size(1024),
        options: "--rx-ring 1024",
        rx_ring: 1024,
        ..PLAIN
    },
    Shape {
        id: "no-mrg-rxbuf",
        make: |nic| nic.mrg_rxbuf(false),
        lacks: Some("MRG_RXBUF"),
        ..PLAIN
    },
    Shape {
        id: "no-event-idx",
        make: |nic| nic.event_idx(false),
        lacks: Some("EVENT_IDX"),
        ..PLAIN
    },
    Shape {
        id: "no-indirect",
        make: |nic| nic.indirect_desc(false),
        lacks: Some("INDIRECT_DESC"),
        ..PLAIN
    },
    Shape {
        id: "packed",
        make: |nic| nic.packed(true),
        takes: Some("RING_PACKED"),
        ..PLAIN
    },
    Shape {
        id: "packed8-no-event-idx",
        make: |nic| nic.packed(true).event_idx(false),
        options: "--rx-ring 8 --tx-ring 8",
        lacks: Some("EVENT_IDX"),
        takes: Some("RING_PACKED"),
        rx_ring: 8,
        ..PLAIN
    },
    Shape {
        id: "packed1024",
        make: |nic| nic.packed(true).rx_queue_size(1024),
        options: "--rx-ring 1024",
        takes: Some("RING_PACKED"),
        rx_ring: 1024,
        ..PLAIN
    },
    Shape {
        id: "packed-no-mrg",
        make: |nic| nic.packed(true).host_mtu(9000).mrg_rxbuf(false),
        lacks: Some("MRG_RXBUF"),
        takes: Some("RING_PACKED"),
        mtu: 9000,
        ..PLAIN
    },
    Shape {
        id: "in-order",
        make: |nic| nic.in_order(true).queue_reset(true),
        lacks: Some("IN_ORDER"),
        takes: Some("RING_RESET"),
        ..PLAIN
    },
    Shape {
        id: "jumbo",
        make: |nic| nic.host_mtu(9000),
        mtu: 9000,
        ..PLAIN
    },
    Shape {
        id: "jumbo-no-mrg",
        make: |nic| nic.host_mtu(9000).mrg_rxbuf(false),
        lacks: Some("MRG_RXBUF"),
        mtu: 9000,
        ..PLAIN
    },
    Shape {
        id: "least",
        make: |nic| {
            nic.without_offloads()
                .mrg_rxbuf(false)
                .event_idx(false)
                .indirect_desc(false)
                .ctrl_vq(false)
                .status(false)
        },
        options: "--rx-ring 8 --tx-ring 8",
        lacks: Some("CTRL_VQ"),
        rx_ring: 8,
        ..PLAIN
    },
];

impl Shape {
    /// What umnet took from the device is what the shape is about.
    fn is_what(&self, umnet: &Umnet) -> Result<()> {
        let status = umnet.status()?;
        assert_eq!(status["rx_ring"], self.rx_ring, "{}: {status}", self.id);
        assert_eq!(status["mtu"], self.mtu, "{}: {status}", self.id);
        let features = umnet.features()?;
        let present = |name: &str| features.iter().any(|feature| feature == name);
        let lacks = self.lacks.is_none_or(|name| !present(name));
        let takes = self.takes.is_none_or(present);
        assert!(lacks && takes, "{}: {features:?}", self.id);
        Ok(())
    }

    /// Datagrams as long as a frame of this MTU may be go in one frame.
    fn whole_frames(&self, guest: &Guest, far: &dyn traffic::End, number: usize) -> Result<()> {
        let longest = (self.mtu - 28).to_string();
        let cut_before = fragments(guest);
        traffic::datagrams(guest, far, &format!("10.9.{number}.2:7"), Some(&longest))?;
        assert_eq!(fragments(guest), cut_before, "{}", self.id);
        Ok(())
    }
}

/// Fragments that the guest's own namespace has made.
fn fragments(guest: &Guest) -> String {
    let column =
        "if (!n) { for (i = 1; i <= NF; i++) if ($i == \"FragCreates\") n = i } else print $n";
    let count = guest.ok(&format!("awk '/^Ip:/ {{ {column} }}' /proc/net/snmp"));
    assert!(!count.trim().is_empty(), "the kernel counts fragments");
    count
}

#[test]
fn every_shape_carries_traffic_between_namespaces_of_a_guest() {
    scenario(|lab| {
        lab.needs_umnet()?;
        // A bus has room for so many pairs of cards.
        SHAPES.chunks(8).try_for_each(|shapes| carry(lab, shapes))
    });
}

/// Boots a guest with cards of these shapes, and has each carry traffic to a card of the kernel's.
fn carry(lab: &Lab, shapes: &[Shape]) -> Result<()> {
    let mut machine = Machine::new();
    for (number, shape) in shapes.iter().enumerate() {
        let hub = Backend::hub(number as u16);
        machine = machine
            .nic((shape.make)(Nic::new(shape.id, hub.clone())))
            .nic(Nic::new(&format!("far{number}"), hub).host_mtu(shape.mtu as u16));
    }
    let vm = lab.boot(machine)?;
    let (near, far) = (&vm.guest, &vm.guest.netns("far")?);
    for (number, shape) in shapes.iter().enumerate() {
        let (_, card) = vm.set_apart(&format!("far{number}"), "far")?;
        let address = format!("10.9.{number}.2/24");
        far.ok(&format!(
            "ip addr add {address} dev {card} && ip link set {card} up"
        ));

        let umnet = Umnet::run(&vm, shape.id, shape.options)?;
        near.ok(&format!(
            "ip addr add 10.9.{number}.1/24 dev {0} && ip link set {0} up",
            umnet.ifname()
        ));
        shape.is_what(&umnet)?;
        traffic::stream(near, far, &format!("10.9.{number}.2:5001"), 8)?;
        traffic::stream(far, near, &format!("10.9.{number}.1:5001"), 8)?;
        shape.whole_frames(near, far, number)?;
        traffic::datagrams(
            far,
            near,
            &format!("10.9.{number}.1:7"),
            Some("1,1472,1473,9000,65507"),
        )?;
        umnet.stop()?;
    }
    Ok(())
}

#[test]
fn every_shape_carries_offloaded_traffic_to_the_host() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        let mut machine = Machine::new().inside(&host);
        for (number, shape) in SHAPES.iter().enumerate() {
            machine = machine.nic((shape.make)(on_tap(&host, number, shape)?));
        }
        let vm = lab.boot(machine)?;
        let guest = &vm.guest;
        for (number, shape) in SHAPES.iter().enumerate() {
            let umnet = Umnet::run(&vm, shape.id, shape.options)?;
            guest.ok(&format!(
                "ip addr add 10.9.{number}.1/24 dev {0} && ip link set {0} up",
                umnet.ifname()
            ));
            shape.is_what(&umnet)?;
            traffic::stream(guest, &host, &format!("10.9.{number}.2:5001"), 32)?;
            traffic::stream(&host, guest, &format!("10.9.{number}.1:5001"), 32)?;
            shape.whole_frames(guest, &host, number)?;
            traffic::datagrams(&host, guest, &format!("10.9.{number}.1:7"), None)?;
            assert_eq!(umnet.counter("rx_errors")?, 0, "{}", umnet.stats()?);
            umnet.stop()?;
        }
        Ok(())
    });
}

/// A card on a TAP of its own, whose host is at `10.9.N.2`.
fn on_tap(host: &HostNet, number: usize, shape: &Shape) -> Result<Nic> {
    let tap = format!("tap{number}");
    host.tap(&tap, 1)?;
    host.ok(&format!(
        "ip link set {tap} mtu {} && ip addr add 10.9.{number}.2/24 dev {tap}",
        shape.mtu
    ));
    Ok(Nic::new(shape.id, Backend::tap(&tap)))
}
