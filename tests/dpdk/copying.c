/*
 * copying: a program on DPDK's virtio-user that copies every frame once, between its mbuf and a
 * buffer of its own, with DPDK's copy. That is what a driver must do whose buffers are the
 * system's, and what testpmd, which leaves payloads alone, does not.
 *
 *   copying EAL-WORDS -- receive
 *   copying EAL-WORDS -- send LENGTH
 *
 * One port, one queue pair, one core at work; it ends when a line comes, or its input ends.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

/* As testpmd is started beside it. */
#define MBUFS 4096
#define MBUF_CACHE 250
#define RING 256
#define BURST 32
/* As many buffers of its own as umnet's rings hold. */
#define BUFFERS 64
#define BUFFER_BYTES 2048

static uint8_t buffers[BUFFERS][BUFFER_BYTES] __rte_cache_aligned;
static volatile bool over;
static struct rte_mempool *pool;
/* Of frames to send; 0: receives. */
static uint16_t length;

static uint8_t *next_buffer(void)
{
	static uint32_t next;

	return buffers[next++ % BUFFERS];
}

static void receive(void)
{
	struct rte_mbuf *frames[BURST];
	uint16_t count = rte_eth_rx_burst(0, 0, frames, BURST);

	for (uint16_t i = 0; i < count; i++) {
		uint16_t bytes = rte_pktmbuf_data_len(frames[i]);

		if (bytes <= BUFFER_BYTES)
			rte_memcpy(next_buffer(), rte_pktmbuf_mtod(frames[i], void *), bytes);
	}
	rte_pktmbuf_free_bulk(frames, count);
}

static void send_some(void)
{
	struct rte_mbuf *frames[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(pool, frames, BURST) != 0)
		return;
	for (uint16_t i = 0; i < BURST; i++)
		rte_memcpy(rte_pktmbuf_append(frames[i], length), next_buffer(), length);
	for (sent = 0; sent < BURST && !over;)
		sent += rte_eth_tx_burst(0, 0, frames + sent, BURST - sent);
	rte_pktmbuf_free_bulk(frames + sent, BURST - sent);
}

static int work(void *unused)
{
	(void)unused;
	while (!over) {
		if (length == 0)
			receive();
		else
			send_some();
	}
	return 0;
}

static void must(int outcome, const char *what)
{
	if (outcome < 0)
		rte_exit(EXIT_FAILURE, "copying: cannot %s: %s\n", what, rte_strerror(-outcome));
}

static void set_up_port(void)
{
	struct rte_eth_conf plain = {0};

	pool = rte_pktmbuf_pool_create("frames", MBUFS, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       rte_socket_id());
	must(pool == NULL ? -rte_errno : 0, "make buffers");
	must(rte_eth_dev_configure(0, 1, 1, &plain), "configure the port");
	must(rte_eth_rx_queue_setup(0, 0, RING, rte_socket_id(), NULL, pool), "receive");
	must(rte_eth_tx_queue_setup(0, 0, RING, rte_socket_id(), NULL), "send");
	must(rte_eth_dev_start(0), "start the port");
}

/* What follows the words of EAL: how long frames are, or that there are none to be sent. */
static void read_words(int count, char **words)
{
	if (count > 2 && strcmp(words[1], "send") == 0)
		length = (uint16_t)atoi(words[2]);
	if (length > BUFFER_BYTES || (length == 0 && (count < 2 || strcmp(words[1], "receive") != 0)))
		rte_exit(EXIT_FAILURE, "copying: receive, or send LENGTH up to %d\n", BUFFER_BYTES);
}

static void make_frames(void)
{
	static const uint8_t header[14] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5,
	};

	for (int i = 0; i < BUFFERS; i++)
		memcpy(buffers[i], header, sizeof(header));
}

int main(int argc, char **argv)
{
	char line[64];
	int used = rte_eal_init(argc, argv);

	must(used, "start DPDK");
	read_words(argc - used, argv + used);
	make_frames();
	set_up_port();
	must(rte_eal_remote_launch(work, NULL, rte_get_next_lcore(-1, 1, 0)), "start the core");
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = 0;
	over = true;
	rte_eal_mp_wait_lcore();
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
