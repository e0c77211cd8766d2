package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// leafVersion begins what is hashed of an event. Another way of hashing has another.
const leafVersion = "tenure audit event 1"

// Leaf is the hash of an event in the tree (RFC 6962 §2.1). What may be about a person
// is in it as its commitment alone.
func Leaf(e tenure.AuditEvent) tlog.Hash {
	b := make([]byte, 0, 256)
	for _, field := range [...]string{leafVersion, e.ID, string(e.Tenant), string(e.Workspace), e.Action, e.ActorKind, e.Outcome, e.RequestID} {
		b = part(b, field)
	}
	b = binary.AppendVarint(b, e.At.UnixMicro())
	return tlog.RecordHash(append(b, Commitment(e)...))
}

// Commitment binds what may be about a person to the event: HMAC-SHA256 under its salt.
// Of an erased event it is what was kept.
func Commitment(e tenure.AuditEvent) []byte {
	if len(e.Erased) > 0 {
		return e.Erased
	}
	b := make([]byte, 0, 256)
	for _, field := range [...]string{e.ActorID, e.Actor, e.ObjectID, e.Object, e.Reason, e.Address} {
		b = part(b, field)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		b = part(part(b, key), e.Detail[key])
	}
	mac := hmac.New(sha256.New, e.Salt)
	mac.Write(b)
	return mac.Sum(nil)
}

// part appends a field with its length, so that no two events are the same text.
func part(b []byte, field string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// A Range is a tree that is only added to: the roots of its complete subtrees, the
// largest first (a compact range). The zero Range is empty.
type Range struct {
	Size  int64
	peaks []tlog.Hash
}

// Clone is the same tree, to be added to apart.
func (r *Range) Clone() *Range { return &Range{Size: r.Size, peaks: slices.Clone(r.peaks)} }

// Add adds a leaf. It gives the roots of the subtrees that are complete with it, from
// the leaf itself upwards.
func (r *Range) Add(leaf tlog.Hash) []tlog.Hash {
	complete := []tlog.Hash{leaf}
	for n := r.Size; n&1 == 1; n >>= 1 {
		last := len(r.peaks) - 1
		leaf = tlog.NodeHash(r.peaks[last], leaf)
		r.peaks = r.peaks[:last]
		complete = append(complete, leaf)
	}
	r.peaks = append(r.peaks, leaf)
	r.Size++
	return complete
}

// Root is the root over all leaves (RFC 6962 §2.1).
func (r *Range) Root() tlog.Hash {
	if r.Size == 0 {
		return sha256.Sum256(nil)
	}
	root := r.peaks[len(r.peaks)-1]
	for i := len(r.peaks) - 2; i >= 0; i-- {
		root = tlog.NodeHash(r.peaks[i], root)
	}
	return root
}

// stride is how many leaves have a stored root, and how many of those have one again.
const (
	strideBits = 8
	stride     = 1 << strideBits
)

// Grow adds leaves and gives what is to be stored of them: the leaves themselves, and
// the subtrees of 256 that they complete.
func (r *Range) Grow(leaves []tlog.Hash) []store.TreeHash {
	var all []store.TreeHash
	for _, leaf := range leaves {
		for height, hash := range r.Add(leaf) {
			if height%strideBits == 0 {
				all = append(all, store.TreeHash{Level: height / strideBits, N: (r.Size - 1) >> height, Hash: hash})
			}
		}
	}
	return all
}

// Stored reads stored hashes: count of a level, from the n-th on.
type Stored func(level int, n int64, count int) ([]tlog.Hash, error)

// ReadHashes implements tlog.HashReader.
func (s Stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		height, n := tlog.SplitStoredHashIndex(index)
		count := 1 << (height % strideBits)
		row, err := s(height/strideBits, n*int64(count), count)
		if err != nil {
			return nil, err
		}
		if len(row) != count {
			return nil, fmt.Errorf("audit: of the tree's level %d only %d of %d hashes from %d on are there", height/strideBits, len(row), count, n*int64(count))
		}
		for ; len(row) > 1; row = row[:len(row)/2] {
			for j := range len(row) / 2 {
				row[j] = tlog.NodeHash(row[2*j], row[2*j+1])
			}
		}
		out[i] = row[0]
	}
	return out, nil
}

// Resume is the tree of a size, from what is stored of it.
func Resume(size int64, s Stored) (*Range, error) {
	r := &Range{Size: size}
	var need []int64
	for height, done := 62, int64(0); height >= 0; height-- {
		if span := int64(1) << height; size&span != 0 {
			need = append(need, tlog.StoredHashIndex(height, done>>height))
			done += span
		}
	}
	var err error
	r.peaks, err = s.ReadHashes(need)
	return r, err
}
