# Every fuzz target: orrery_fuzz_target(NAME DEPS … [SEEDS folders below tests/]). NAME_fuzz.cc defines
# LLVMFuzzerTestOneInput; seeds are in corpus/NAME, and in those folders. Who includes this file says
# what a target is: a libFuzzer program (CMakeLists.txt here), or a part of tests/unit/fuzz.
orrery_fuzz_target(contract DEPS orrery::routers_contract)
orrery_fuzz_target(control DEPS orrery::runtime_control orrery::runtime_routerctl)
orrery_fuzz_target(definitions DEPS orrery::routers_spec
  SEEDS golden/definitions/bad golden/definitions/good golden/definitions/files)
orrery_fuzz_target(dns DEPS orrery::runtime_tproxy)
orrery_fuzz_target(egress DEPS orrery::routers_egress)
orrery_fuzz_target(filter DEPS orrery::netns_pcap orrery::routers_spec)
orrery_fuzz_target(journal DEPS orrery::runtime_engine)
orrery_fuzz_target(netlink DEPS orrery::netns_link orrery::netns_route orrery::netns_neigh
  orrery::netns_conntrack orrery::netns_observe orrery::netns_wireguard)
orrery_fuzz_target(nftables DEPS orrery::netns_nft)
orrery_fuzz_target(seccomp DEPS orrery::sandbox_seccomp)
orrery_fuzz_target(socks5 DEPS orrery::runtime_tproxy)
orrery_fuzz_target(tproxy DEPS orrery::runtime_tproxy)
