-- |
-- Regions: heaps that the garbage collector owns, and ends as a whole. What "Mimalloc.Heap",
-- "Mimalloc.ByteString" and "Mimalloc.Vector" have for them.
--
-- What was parsed of one document, or belongs to one request, ends together. In a region thousands of
-- blocks cost the collector one weak pointer, and are given back in one go when neither the region nor a
-- pointer into it is reachable; or by hand ('unsafeEndHeap'). The price: one pointer that is kept keeps all
-- blocks.
--
-- >>> :set -XOverloadedStrings
-- >>> import Mimalloc.Region
-- >>> region <- newHeap
-- >>> mapM (heapCopy region) ["so", "many", "words"]
-- ["so","many","words"]
--
-- @since 0.1.0.0
module Mimalloc.Region
  ( -- * Regions
    GCHeap
  , newHeap
  , newHeapInArena
  , newNamedHeap
  , nameHeap
  , endHeap
  , unsafeEndHeap
    -- * Foreign pointers
  , heapMallocForeignPtr
  , heapMallocForeignPtrBytes
  , heapMallocForeignPtrArray
  , heapMallocForeignPtrAligned
  , heapMallocForeignPtrAlignedBytes
  , heapCallocForeignPtr
  , heapCallocForeignPtrArray
  , heapZallocForeignPtrBytes
    -- * Byte strings
  , heapCopy
  , heapCreate
  , heapConcat
  , heapReadFile
  , heapMallocByteString
  , heapZallocByteString
    -- * Vectors
  , heapCopyVector
  , heapMallocVector
  , heapZallocVector
  , heapMallocMVector
  , heapZallocMVector
    -- * What the examples import
    -- $setup
  ) where

import Mimalloc.ByteString
import Mimalloc.Heap
import Mimalloc.Vector
  ( heapCopyVector, heapMallocMVector, heapMallocVector, heapZallocMVector, heapZallocVector )

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Region
-- >>> :set -XOverloadedStrings
