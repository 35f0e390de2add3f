{-# LANGUAGE RankNTypes #-}
-- The types that users of the names rely on. It compiles, or not.
module Names.Types (typesAgree) where

import Data.ByteString (ByteString)
import Data.Word (Word8)
import Foreign.C.String (CString, CStringLen)
import Foreign.C.Types
import Foreign.Ptr (FunPtr)
import System.IO (Handle)

import Mimalloc
import qualified Mimalloc.ByteString as B
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Stats
import qualified Mimalloc.Vector as V

typesAgree :: ()
typesAgree =
  pointers `seq` capabilities `seq` heaps `seq` strings
    `seq` vectors `seq` statistics `seq` primitives `seq` ()

t :: a -> ()
t _ = ()

pointers, capabilities, heaps, strings, vectors, statistics, primitives :: [()]
pointers =
  [ t (mallocForeignPtr :: IO (ForeignPtr Int))
  , t (mallocForeignPtrBytes :: Int -> IO (ForeignPtr Word8))
  , t (mallocForeignPtrArray :: Int -> IO (ForeignPtr Int))
  , t (mallocForeignPtrAligned :: Int -> IO (ForeignPtr Int))
  , t (mallocForeignPtrAlignedBytes :: Int -> Int -> IO (ForeignPtr Word8))
  , t (callocForeignPtr :: IO (ForeignPtr Int))
  , t (callocForeignPtrArray :: Int -> IO (ForeignPtr Int))
  , t (zallocForeignPtrBytes :: Int -> IO (ForeignPtr Word8))
  , t (withMalloc :: (Ptr Int -> IO b) -> IO b)
  , t (withMallocBytes :: Int -> (Ptr Word8 -> IO b) -> IO b)
  , t (withMallocArray :: Int -> (Ptr Int -> IO b) -> IO b)
  , t (withMallocAligned :: Int -> (Ptr Int -> IO b) -> IO b)
  , t (withMallocAlignedBytes :: Int -> Int -> (Ptr Word8 -> IO b) -> IO b)
  , t (withCalloc :: (Ptr Int -> IO b) -> IO b)
  , t (withCallocArray :: Int -> (Ptr Int -> IO b) -> IO b)
  , t (withZallocBytes :: Int -> (Ptr Word8 -> IO b) -> IO b)
  , t (goodSize :: Int -> Int)
  , t (usableSize :: Ptr a -> IO Int)
  ]

capabilities =
  [ t (getCurrentCapability :: IO Int)
  , t (getNumCapabilities :: IO Int)
  , t (initializeCapabilities :: IO ())
  , t (reinitializeCapabilities :: IO ())
  , t (runOnCapability :: Int -> IO a -> IO a)
  , t (withCapabilityLocal :: IO a -> IO a)
  ]

heaps =
  [ let f :: (forall s. Heap s -> IO a) -> IO a; f = \k -> withHeap k in f (const (pure ())) `t'` ()
  , let f :: Int -> Bool -> MiArenaId -> (forall s. Heap s -> IO a) -> IO a;
          f = \a b c k -> withHeapEx a b c k in f 0 True 0 (const (pure ())) `t'` ()
  , let f :: MiArenaId -> (forall s. Heap s -> IO a) -> IO a;
          f = \a k -> withHeapInArena a k in f 0 (const (pure ())) `t'` ()
  , t (newHeap :: IO GCHeap)
  , t (heapMallocForeignPtr :: Heap s -> IO (ForeignPtr Int))
  , t (heapMallocForeignPtrBytes :: Heap s -> Int -> IO (ForeignPtr Word8))
  , t (heapMallocForeignPtrArray :: Heap s -> Int -> IO (ForeignPtr Int))
  , t (heapMallocForeignPtrAligned :: Heap s -> Int -> IO (ForeignPtr Int))
  , t (heapCallocForeignPtr :: Heap s -> IO (ForeignPtr Int))
  , t (heapCallocForeignPtrArray :: Heap s -> Int -> IO (ForeignPtr Int))
  , t (heapZallocForeignPtrBytes :: Heap s -> Int -> IO (ForeignPtr Word8))
  , t (withHeapMalloc :: Heap s -> (Ptr Int -> IO b) -> IO b)
  , t (withHeapMallocBytes :: Heap s -> Int -> (Ptr Word8 -> IO b) -> IO b)
  , t (withHeapMallocArray :: Heap s -> Int -> (Ptr Int -> IO b) -> IO b)
  , t (withHeapMallocAligned :: Heap s -> Int -> (Ptr Int -> IO b) -> IO b)
  , t (withHeapCalloc :: Heap s -> (Ptr Int -> IO b) -> IO b)
  , t (withHeapCallocArray :: Heap s -> Int -> (Ptr Int -> IO b) -> IO b)
  , t (withHeapZallocBytes :: Heap s -> Int -> (Ptr Word8 -> IO b) -> IO b)
  , t (heapCollect :: Heap s -> Bool -> IO ())
  , t (heapContainsBlock :: Heap s -> Ptr a -> IO Bool)
  , t (heapCheckOwned :: Heap s -> Ptr a -> IO Bool)
  ]
  where t' :: IO () -> () -> ()
        t' _ u = u

strings =
  [ t (B.mallocByteString :: Int -> IO ByteString)
  , t (B.zallocByteString :: Int -> IO ByteString)
  , t (B.heapMallocByteString :: Heap s -> Int -> IO ByteString)
  , t (B.heapZallocByteString :: Heap s -> Int -> IO ByteString)
  , t (B.unsafePackMallocByteString :: Ptr Word8 -> Int -> IO ByteString)
  , t (B.unsafeUseAsByteString :: ByteString -> (Ptr Word8 -> Int -> IO a) -> IO a)
  , t (B.create :: Int -> (Ptr Word8 -> IO ()) -> IO ByteString)
  , t (B.createUptoN :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString)
  , t (B.createAndTrim :: Int -> (Ptr Word8 -> IO Int) -> IO ByteString)
  , t (B.copy :: ByteString -> ByteString)
  , t (B.pack :: [Word8] -> ByteString)
  , t (B.concat :: [ByteString] -> ByteString)
  , t (B.readFile :: FilePath -> IO ByteString)
  , t (B.hGet :: Handle -> Int -> IO ByteString)
  , t (B.hGetSome :: Handle -> Int -> IO ByteString)
  , t (B.hGetContents :: Handle -> IO ByteString)
  , t (B.unsafePackMallocCString :: CString -> IO ByteString)
  , t (B.unsafePackMallocCStringLen :: CStringLen -> IO ByteString)
  ]

vectors =
  [ t (V.mallocVector :: Int -> IO (V.Vector Int))
  , t (V.zallocVector :: Int -> IO (V.Vector Int))
  , t (V.heapMallocVector :: Heap s -> Int -> IO (V.Vector Int))
  , t (V.heapZallocVector :: Heap s -> Int -> IO (V.Vector Int))
  , t (V.mallocMVector :: Int -> IO (V.IOVector Int))
  , t (V.zallocMVector :: Int -> IO (V.IOVector Int))
  , t (V.heapMallocMVector :: Heap s -> Int -> IO (V.IOVector Int))
  , t (V.heapZallocMVector :: Heap s -> Int -> IO (V.IOVector Int))
  , t (V.unsafeFromForeignPtr :: ForeignPtr Int -> Int -> Int -> V.Vector Int)
  , t (V.unsafeFromForeignPtr0 :: ForeignPtr Int -> Int -> V.Vector Int)
  , t (V.generate :: Int -> (Int -> Int) -> V.Vector Int)
  , t (V.replicate :: Int -> Int -> V.Vector Int)
  , t (V.fromList :: [Int] -> V.Vector Int)
  , t (V.copy :: V.Vector Int -> V.Vector Int)
  , t (V.thaw :: V.Vector Int -> IO (V.IOVector Int))
  , t (V.freeze :: V.IOVector Int -> IO (V.Vector Int))
  ]

statistics =
  [ t (getProcessInfo :: IO ProcessInfo)
  , t (printStats :: IO ())
  , t (resetStats :: IO ())
  , t (mergeStats :: IO ())
  , t (collect :: IO ())
  , t (collectForce :: IO ())
  , t (getStats :: IO Stats)
  , t (statsJson :: IO ByteString)
  ]

primitives =
  [ t (mi_malloc :: CSize -> IO (Ptr a))
  , t (mi_calloc :: CSize -> CSize -> IO (Ptr a))
  , t (mi_realloc :: Ptr a -> CSize -> IO (Ptr b))
  , t (mi_free :: Ptr a -> IO ())
  , t (mi_posix_memalign :: Ptr (Ptr a) -> CSize -> CSize -> IO CInt)
  , t (mi_strdup :: CString -> IO CString)
  , t (mi_malloc_aligned_at :: CSize -> CSize -> CSize -> IO (Ptr a))
  , t (mi_recalloc_aligned_at :: Ptr a -> CSize -> CSize -> CSize -> CSize -> IO (Ptr a))
  , t (mi_heap_new_ex :: CInt -> CBool -> MiArenaId -> IO (Ptr MiHeap))
  , t (mi_heap_malloc :: Ptr MiHeap -> CSize -> IO (Ptr a))
  , t (mi_heap_set_default :: Ptr MiHeap -> IO (Ptr MiHeap))
  , t (mi_heap_visit_blocks :: Ptr MiHeap -> CBool -> FunPtr MiBlockVisitFun -> Ptr a -> IO CBool)
  , t (mi_heap_contains_block :: Ptr MiHeap -> Ptr a -> IO CBool)
  , t (mi_option_get :: MiOption -> IO CLong)
  , t (mi_option_set :: MiOption -> CLong -> IO ())
  , t (mi_option_is_enabled :: MiOption -> IO Bool)
  , t (mi_arena_area :: MiArenaId -> Ptr CSize -> IO (Ptr ()))
  , t (mi_subproc_new :: IO MiSubprocId)
  , t (mi_version :: IO CInt)
  ]
