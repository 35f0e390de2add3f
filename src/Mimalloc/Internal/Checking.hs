-- |
-- What only the checking build has (flag @checking@): the whole-heap walker, and functions that break the
-- rules on purpose.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Checking
  ( mi_check_overlaps
  , mi_check_all
  , mi_check_live_blocks
  , mi_test_cap_malloc_on
  , mi_test_cap_free_on
  ) where

import Foreign.C.Types (CInt (..), CSize (..))
import Foreign.Ptr (Ptr)

-- Any-thread, short: how often an owner-only path was entered while another call was in it.
foreign import ccall unsafe mi_check_overlaps :: IO CSize

-- Any-thread, but only while nobody allocates or frees. Safe because they walk every page.
foreign import ccall safe mi_check_all         :: IO CSize
foreign import ccall safe mi_check_live_blocks :: IO CSize

-- Unsound: they use the heap of the capability they are given, whoever holds it.
foreign import ccall unsafe mi_test_cap_malloc_on :: CInt -> CSize -> IO (Ptr a)
foreign import ccall unsafe mi_test_cap_free_on   :: CInt -> Ptr a -> IO ()
