package main

import (
	"math/bits"
	"time"
)

// The histogram's shape: 64 buckets for each power of two, so that a value read
// back is at most 0.8% off, up to 2^40 ns (18 minutes).
const (
	histSubBits = 6
	histSub     = 1 << histSubBits
	histMaxBits = 40
	histBuckets = (histMaxBits - histSubBits + 1) * histSub
)

// histogram counts durations in buckets of fixed size, without allocating. It
// is not safe for use by several goroutines.
type histogram struct {
	counts [histBuckets]uint32
	total  uint64
}

// bucketOf returns the bucket of v nanoseconds.
func bucketOf(v uint64) int {
	if v < histSub {
		return int(v)
	}
	if v >= 1<<histMaxBits {
		return histBuckets - 1
	}
	shift := bits.Len64(v) - histSubBits - 1
	return (shift+1)<<histSubBits + int(v>>shift) - histSub
}

// middleOf returns the middle of bucket i, in nanoseconds.
func middleOf(i int) uint64 {
	if i < histSub {
		return uint64(i)
	}
	shift := i>>histSubBits - 1
	low := uint64(i&(histSub-1)+histSub) << shift
	return low + (uint64(1)<<shift)/2
}

// record counts d; a negative d counts as 0.
func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

// merge adds the counts of other.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the value below which the part q (0 to 1) of all values
// lies, or 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total))
	if rank >= h.total {
		rank = h.total - 1
	}
	var seen uint64
	for i, n := range h.counts {
		seen += uint64(n)
		if seen > rank {
			return time.Duration(middleOf(i))
		}
	}
	return time.Duration(middleOf(histBuckets - 1))
}
