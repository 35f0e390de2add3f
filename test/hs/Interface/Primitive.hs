{-# LANGUAGE ScopedTypeVariables #-}
-- The C functions one to one: heaps, visiting, arenas, options, the process, and names that other systems
-- have.
module Interface.Primitive (tests) where

import Control.Concurrent hiding (getNumCapabilities)
import Control.Exception
import Control.Monad
import Data.Bits (shiftL)
import Data.IORef
import Data.List (sort)
import Data.Word (Word8)
import Foreign.C.Error (Errno (..), eINVAL, eNOMEM, getErrno, resetErrno)
import Foreign.C.String (newCString, peekCString, withCString)
import Foreign.C.Types (CBool (..), CInt (..), CSize (..))
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.Marshal.Alloc (alloca, allocaBytes, free)
import Foreign.Marshal.Array (peekArray, pokeArray)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr
import Foreign.Storable
import System.Directory (doesDirectoryExist)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Support
import Mimalloc
import Mimalloc.Capability

tests :: TestTree
tests = testGroup "primitive"
  [ testGroup "heap functions" heaps
  , testGroup "default heap" defaults
  , testGroup "visiting" visiting
  , testGroup "arenas" arenas
  , testGroup "options" options
  , testGroup "process" process
  , testGroup "other names" names
  , testGroup "C's functions of a capability"
      [ testCase "blocks" $ test_cap_blocks >>= (@?= 0)
      , testCase "resizing" $ test_cap_resizing >>= (@?= 0)
      , testCase "refusals" $ test_cap_refusals >>= (@?= 0)
      ]
  ]

-- family.c: 0, or the line there of what is wrong.
foreign import ccall unsafe test_cap_blocks   :: IO CInt
foreign import ccall unsafe test_cap_resizing :: IO CInt
foreign import ccall unsafe test_cap_refusals :: IO CInt

foreign import ccall unsafe gettid :: IO CInt
foreign import ccall "wrapper" newVisitor :: MiBlockVisitFun -> IO (FunPtr MiBlockVisitFun)

onHeap :: (Ptr MiHeap -> IO a) -> IO a
onHeap = bracket mi_heap_new mi_heap_destroy

-- The block is there, in the heap, large enough, aligned; and it is left dirty and freed.
block :: Ptr MiHeap -> CSize -> Int -> Ptr Word8 -> Assertion
block h n align p = do
  assertBool "a null pointer" (p /= nullPtr)
  assertBool ("not aligned to " ++ show align) (isAligned align p)
  usable <- mi_usable_size p
  assertBool (show usable ++ " of " ++ show n) (usable >= n)
  mi_heap_contains_block h p >>= (@?= 1)
  mi_heap_of p >>= (@?= h)
  fillBytes p 0xA5 (fromIntegral n)

zeros :: Int -> Ptr Word8 -> Assertion
zeros n p = allBytes 0 n p >>= assertBool "not zeros"

big :: CSize
big = 2000000

heaps :: [TestTree]
heaps =
  [ testCase "malloc" $ onHeap $ \h -> forM_ [0, 1, 100, 1000, 5000, 70000, big] $ \n -> do
      mi_heap_malloc h n >>= block h n 16
      mi_heap_mallocn h n 3 >>= block h (3 * n) 16
      when (n <= 1024) $ mi_heap_malloc_small h n >>= block h n 16
  , testCase "zeros" $ onHeap $ \h -> forM_ [0, 1, 100, 1000, 5000, 70000, big] $ \n -> replicateM_ 3 $ do
      dirty h n
      mi_heap_zalloc h n >>= \p -> zeros (fromIntegral n) p >> block h n 16 p >> mi_free p
      mi_heap_calloc h n 2 >>= \p -> zeros (2 * fromIntegral n) p >> block h (2 * n) 16 p >> mi_free p
  , testCase "aligned" $ onHeap $ \h -> forM_ [1, 16, 64, 4096, 65536, 1048576] $ \a ->
        forM_ [0, 8, 24] $ \o -> forM_ [100, 5000] $ \n -> do
      let at p = assertBool "not aligned" (isAligned (fromIntegral a) (p `plusPtr` fromIntegral o))
          here p = block' h n p >> at p >> mi_free p
          straight p = block' h n p >> assertBool "not aligned" (isAligned (fromIntegral a) p) >> mi_free p
          cleared k p = zeros (fromIntegral n) p >> k p
      mi_heap_malloc_aligned h n a >>= straight
      mi_heap_malloc_aligned_at h n a o >>= here
      mi_heap_zalloc_aligned h n a >>= cleared straight
      mi_heap_zalloc_aligned_at h n a o >>= cleared here
      mi_heap_calloc_aligned h n 1 a >>= cleared straight
      mi_heap_calloc_aligned_at h 1 n a o >>= cleared here
      forM_ [\p -> mi_heap_realloc_aligned h p (n + 3000) a, \p -> mi_heap_rezalloc_aligned h p (n + 3000) a
            , \p -> mi_heap_recalloc_aligned h p (n + 3000) 1 a] $ \change -> do
        p <- mi_heap_zalloc_aligned h n a
        pokeArray p [1 .. 100 :: Word8]
        q <- change p
        peekArray 100 q >>= (@?= [1 .. 100])
        straight q
      forM_ [\p -> mi_heap_realloc_aligned_at h p big a o
            , \p -> mi_heap_rezalloc_aligned_at h p (n + 3000) a o
            , \p -> mi_heap_recalloc_aligned_at h p (n + 3000) 1 a o] $ \change -> do
        p <- mi_heap_zalloc_aligned_at h n a o
        pokeArray p [1 .. 100 :: Word8]
        q <- change p
        peekArray 100 q >>= (@?= [1 .. 100])
        here q
  , testCase "resizing" $ onHeap $ \h ->
        forM_ [(10, 100), (100, 10), (1000, big), (big, 1000), (0, 5)] $ \(m, n) -> do
      let kept change = do
            p <- mi_heap_zalloc h m
            fillBytes p 7 (fromIntegral m)
            q <- change p
            allBytes 7 (fromIntegral (min m n)) q >>= assertBool "not kept"
            pure q
      kept (\p -> mi_heap_realloc h p n) >>= block h n 16
      kept (\p -> mi_heap_reallocn h p n 1) >>= block h n 16
      kept (\p -> mi_heap_reallocf h p n) >>= block h n 16
      forM_ [\p -> mi_heap_rezalloc h p n, \p -> mi_heap_recalloc h p 1 n] $ \change -> do
        q <- kept change
        zeros (fromIntegral n - fromIntegral (min m n)) (q `plusPtr` fromIntegral (min m n))
        mi_free q
      mi_heap_realloc h nullPtr n >>= block h n 16
  , testCase "a block of another heap moves in" $ onHeap $ \h -> onHeap $ \g -> do
      p <- mi_heap_malloc g 10
      pokeArray p [1 .. 10 :: Word8]
      q <- mi_heap_realloc h p 5000
      mi_heap_of q >>= (@?= h)
      peekArray 10 q >>= (@?= [1 .. 10 :: Word8])
  , testCase "strings" $ onHeap $ \h -> do
      s <- withCString "hello" (mi_heap_strdup h)
      peekCString s >>= (@?= "hello")
      mi_heap_contains_block h s >>= (@?= 1)
      t <- mi_heap_strndup h s 2
      peekCString t >>= (@?= "he")
      mi_heap_strdup h nullPtr >>= (@?= nullPtr)
      r <- withCString "/usr/../usr/." (\path -> mi_heap_realpath h path nullPtr)
      peekCString r >>= (@?= "/usr")
      mi_heap_contains_block h r >>= (@?= 1)
  , testCase "what cannot be is a null pointer and errno" $ onHeap $ \h -> do
      fails eNOMEM (mi_heap_malloc h maxBound)
      fails eNOMEM (mi_heap_zalloc h (maxBound `div` 2 + 1))
      fails eNOMEM (mi_heap_calloc h (1 `shiftL` 32) (1 `shiftL` 32))
      fails eNOMEM (mi_heap_mallocn h maxBound 2)
      fails eINVAL (mi_heap_malloc_aligned h 100 24)
      fails eINVAL (mi_heap_zalloc_aligned h 100 0)
      fails eINVAL (mi_heap_calloc_aligned_at h 1 100 3 8)
      p <- mi_heap_malloc h 10
      poke p 7
      fails eNOMEM (mi_heap_realloc h p maxBound)
      fails eNOMEM (mi_heap_reallocn h p maxBound maxBound)
      fails eNOMEM (mi_heap_recalloc h p (1 `shiftL` 40) (1 `shiftL` 40))
      fails eINVAL (mi_heap_realloc_aligned h p 20 0)
      fails eINVAL (mi_heap_rezalloc_aligned_at h p big 0 0)
      peek p >>= (@?= 7)
      fails eNOMEM (mi_heap_reallocf h p maxBound) -- frees p
      mi_heap_contains_block h p >>= (@?= 0)
      resetErrno
      mi_heap_new_in_arena 999 >>= (@?= nullPtr)
  , testCase "delete keeps blocks, destroy frees them" $ do
      h <- mi_heap_new
      p <- mi_heap_malloc h 100
      fillBytes p 7 100
      mi_heap_delete h
      allBytes 7 100 p >>= assertBool "overwritten"
      main_ <- mi_heap_get_backing
      mi_heap_of p >>= (@?= main_)
      mi_free p
      g <- mi_heap_new
      q <- mi_heap_malloc g 100 :: IO (Ptr Word8)
      mi_heap_destroy g
      mi_heap_of q >>= (@?= nullPtr)
      k <- mi_heap_new_ex 5 0 0
      r <- mi_heap_malloc k 100 :: IO (Ptr Word8)
      mi_heap_destroy k -- may not be destroyed
      mi_heap_of r >>= (@?= main_)
      mi_free r
  , testCase "one heap on every capability" $ onHeap $ \h -> do
      n <- getNumCapabilities
      ps <- forM [0 .. n - 1] $ \c -> runOnCapability c $
        forM [1 .. 100] $ \i -> mi_heap_malloc h (i * 10) >>= \p -> p <$ block h (i * 10) 16 p
      forM_ [0 .. n - 1] $ \c -> runOnCapability c (mi_heap_collect h 0 >> mi_heap_collect h 1)
      forM_ (zip [0 ..] ps) $ \(c, qs) -> runOnCapability ((c + 1) `mod` n) (mapM_ mi_free qs)
  ]
  where
    block' :: Ptr MiHeap -> CSize -> Ptr Word8 -> Assertion
    block' h n p = do
      assertBool "a null pointer" (p /= nullPtr)
      usable <- mi_usable_size p
      assertBool (show usable ++ " of " ++ show n) (usable >= n)
      mi_heap_check_owned h p >>= (@?= 1)
      fillBytes p 0xA5 (fromIntegral n)
    dirty :: Ptr MiHeap -> CSize -> IO ()
    dirty h n = do
      ps <- replicateM 3 (mi_heap_malloc h n)
      forM_ ps $ \p -> fillBytes (p :: Ptr Word8) 0xA5 (fromIntegral n)
      mapM_ mi_free ps
    fails :: Errno -> IO (Ptr Word8) -> Assertion
    fails (Errno e) allocate = do
      resetErrno
      p <- allocate
      Errno n <- getErrno
      p @?= nullPtr
      n @?= e

defaults :: [TestTree]
defaults =
  [ testCase "set, used, set back" $ withCapabilityLocal $ onHeap $ \h -> do
      backing <- mi_heap_get_backing
      mi_heap_get_default >>= (@?= backing)
      old <- mi_heap_set_default h
      old @?= backing
      mi_heap_get_default >>= (@?= h)
      mi_heap_get_backing >>= (@?= backing)
      p <- mi_malloc 100 :: IO (Ptr Word8)
      q <- mallocForeignPtrBytes 100
      r <- mi_heap_set_default old
      mi_heap_of p >>= (@?= h)
      withForeignPtr q mi_heap_of >>= (@?= h)
      r @?= h
      s <- mi_malloc 100 :: IO (Ptr Word8)
      mi_heap_of s >>= (@?= backing)
      mi_check_owned s >>= (@?= 1)
      mi_check_owned p >>= (@?= 0)
      mapM_ mi_free [p, s]
      finalizeForeignPtr q
  , testCase "the end of a heap that is the default" $ withCapabilityLocal $ do
      backing <- mi_heap_get_backing
      forM_ [mi_heap_delete, mi_heap_destroy] $ \end -> do
        h <- mi_heap_new
        _ <- mi_heap_set_default h
        end h
        mi_heap_get_default >>= (@?= backing)
        p <- mi_malloc 100 :: IO (Ptr Word8)
        mi_heap_of p >>= (@?= backing)
        mi_free p
  , testCase "of each capability by itself" $ do
      n <- getNumCapabilities
      h <- mi_heap_new
      backing <- mi_heap_get_backing
      forM_ [1 .. n - 1] $ \c -> runOnCapability c (mi_heap_set_default h)
      runOnCapability 0 mi_heap_get_default >>= (@?= backing)
      forM_ [1 .. n - 1] $ \c -> runOnCapability c mi_heap_get_default >>= (@?= h)
      mi_heap_delete h
      forM_ [0 .. n - 1] $ \c -> runOnCapability c mi_heap_get_default >>= (@?= backing)
  ]

visiting :: [TestTree]
visiting =
  [ testCase "every live block, once" $ onHeap $ \h -> do
      n <- getNumCapabilities
      ps <- fmap concat . forM [0 .. n - 1] $ \c -> runOnCapability c $
        forM [1 .. 300] $ \i -> mi_heap_malloc h (i * 50)
      let (freed, kept) = splitAt 100 ps
      mapM_ mi_free freed
      (done, seen, used) <- visit h True
      done @?= True
      sort seen @?= sort (map castPtr kept)
      used @?= fromIntegral (length kept)
      (_, none, used') <- visit h False
      (none, used') @?= ([], used)
  , testCase "sizes and tag" $ bracket (mi_heap_new_ex 42 1 0) mi_heap_destroy $ \h -> do
      p <- mi_heap_malloc h 100 :: IO (Ptr Word8)
      ok <- newIORef []
      _ <- visitHeapBlocks h True $ \g area q size -> True
        <$ modifyIORef ok ((g == h, heapAreaHeapTag area, q == castPtr p, size, heapAreaBlockSize area) :)
      readIORef ok >>= (@?= [(True, 42, True, 112, 112), (True, 42, False, 112, 112)])
  , testCase "a visitor as C has it, with its argument" $ onHeap $ \h -> alloca $ \(sum_ :: Ptr CSize) -> do
      replicateM_ 10 (mi_heap_malloc h 100 :: IO (Ptr ()))
      poke sum_ 0
      let visitor g area p size arg = do
            used <- heapAreaUsed <$> peek area
            when (g == h && p /= nullPtr && used == 10) $ peek (castPtr arg) >>= poke (castPtr arg) . (+ size)
            pure 1
      bracket (newVisitor visitor) freeHaskellFunPtr $ \f -> mi_heap_visit_blocks h 1 f sum_ >>= (@?= 1)
      peek sum_ >>= (@?= 1120)
  , testCase "an area is stored as it was" $ alloca $ \p -> do
      let area = MiHeapArea (nullPtr `plusPtr` 1) 2 3 4 5 6 (-7)
      poke p area
      peek p >>= (@?= area)
  , testCase "the visitor may stop" $ onHeap $ \h -> do
      replicateM_ 10 (mi_heap_malloc h 100 :: IO (Ptr ()))
      count <- newIORef (0 :: Int)
      visitHeapBlocks h True (\_ _ _ _ -> False <$ modifyIORef' count (+ 1)) >>= (@?= False)
      readIORef count >>= (@?= 1)
  , testCase "the visitor's exception is ours" $ onHeap $ \h -> do
      replicateM_ 10 (mi_heap_malloc h 100 :: IO (Ptr ()))
      r <- try (visitHeapBlocks h True (\_ _ _ _ -> throwIO Overflow))
      r @?= Left Overflow
  , testCase "the visitor may allocate and free" $ onHeap $ \h -> do
      ps <- replicateM 10 (mi_heap_malloc h 100)
      visitHeapBlocks h True (\_ _ _ _ -> True <$ (mi_malloc 1000 >>= mi_free)) >>= (@?= True)
      mapM_ mi_free ps
  , testCase "what is visited stays usable" $ onHeap $ \h -> do
      ps <- replicateM 2000 (mi_heap_malloc h 1000)
      _ <- visit h True
      qs <- replicateM 2000 (mi_heap_malloc h 1000)
      mapM_ mi_free (ps ++ qs)
      (_, seen, _) <- visit h True
      seen @?= []
  , testCase "the main heap" $ do
      h <- mi_heap_get_backing
      visitHeapBlocks h True (\_ _ _ _ -> pure True) >>= (@?= True)
  , testCase "while others collect garbage" $ onHeap $ \h -> do
      ps <- replicateM 1000 (mi_heap_malloc h 64)
      t <- forkIO (forever (mallocForeignPtrBytes 100 >> yield))
      replicateM_ 20 (visit h True)
      killThread t
      mapM_ mi_free ps
  ]
  where
    visit h blocks = do
      seen <- newIORef []
      used <- newIORef 0
      done <- visitHeapBlocks h blocks $ \_ area p _ -> True <$
        if p == nullPtr then modifyIORef' used (+ heapAreaUsed area) else modifyIORef' seen (p :)
      (,,) done <$> readIORef seen <*> readIORef used

arenas :: [TestTree]
arenas =
  [ testCase "mi_reserve_os_memory" $ do
      mi_reserve_os_memory (32 `shiftL` 20) 0 0 >>= (@?= 0)
      mi_reserve_os_memory maxBound 0 0 >>= assertBool "no error" . (/= 0)
  , testCase "an arena for one heap" $ alloca $ \(q :: Ptr MiArenaId) -> alloca $ \(n :: Ptr CSize) -> do
      mi_reserve_os_memory_ex (32 `shiftL` 20) 0 0 1 q >>= (@?= 0)
      arena <- peek q
      start <- mi_arena_area arena n
      size <- peek n
      assertBool (show size) (size >= 16 `shiftL` 20)
      bracket (mi_heap_new_in_arena arena) mi_heap_destroy $ \h -> do
        ps <- replicateM 100 (mi_heap_malloc h 10000)
        forM_ ps $ \p -> assertBool "elsewhere" (p /= nullPtr
          && p >= castPtr start && p < start `plusPtr` fromIntegral size)
        mi_heap_malloc h (64 `shiftL` 20) >>= (@?= nullPtr)
      ps <- replicateM 1000 (mi_malloc 10000)
      forM_ ps $ \p -> assertBool "in the exclusive arena" (p < castPtr start
        || p >= start `plusPtr` fromIntegral size)
      mapM_ mi_free ps
  , testCase "memory of one's own" $ alloca $ \(q :: Ptr MiArenaId) -> do
      -- It stays in use while the process runs, so it is not given back.
      p <- mi_malloc_aligned (48 `shiftL` 20) (64 `shiftL` 10) :: IO (Ptr Word8)
      mi_manage_os_memory_ex (castPtr p) (48 `shiftL` 20) 1 0 0 (-1) 1 q >>= (@?= 1)
      arena <- peek q
      bracket (mi_heap_new_in_arena arena) mi_heap_destroy $ \h -> do
        r <- mi_heap_malloc h 1000
        assertBool "elsewhere" (r >= p && r < p `plusPtr` (48 `shiftL` 20))
      mi_manage_os_memory (castPtr p) 10 1 0 0 (-1) >>= (@?= 0)
  , testCase "huge pages, if there are any" $ alloca $ \(q :: Ptr MiArenaId) -> do
      a <- mi_reserve_huge_os_pages_interleave 1 0 0
      b <- mi_reserve_huge_os_pages_at 1 0 0
      c <- mi_reserve_huge_os_pages_at_ex 1 (-1) 0 0 q
      forM_ [a, b, c] $ \e -> assertBool (show e) (e == 0 || Errno e == eNOMEM)
  , testCase "no such arena" $ alloca $ \(n :: Ptr CSize) -> do
      mi_arena_area 999 n >>= (@?= nullPtr)
      mi_arena_area (-1) n >>= (@?= nullPtr)
  , testCase "sub-processes" $ do
      main_ <- mi_subproc_main
      new <- mi_subproc_new
      assertBool "the same" (main_ /= new)
      when rtsSupportsBoundThreads $ do
        done <- newEmptyMVar
        _ <- forkOS $ do
          mi_subproc_add_current_thread new
          p <- mi_zalloc 3000000 -- in a safe call: from the OS thread's heap
          zeros 3000000 p
          mi_free p
          gettid >>= putMVar done
        thread <- takeMVar done
        holds "the OS thread has ended" $ not <$> doesDirectoryExist ("/proc/self/task/" ++ show thread)
      mi_subproc_delete new
  ]

options :: [TestTree]
options =
  [ testCase "as in C" $ do
      length [minBound .. maxBound :: MiOption] @?= 41
      fromEnum MiOptionPurgeDelay @?= 15
      MiOptionResetDelay @?= MiOptionPurgeDelay
      (read "MiOptionVerbose", show MiOptionVerbose) @?= (MiOptionVerbose, "MiOptionVerbose")
  , testCase "set and get" $ forM_ [MiOptionGuardedMin, MiOptionMaxWarnings] $ \o -> do
      old <- mi_option_get o
      mi_option_set o 5
      mi_option_get o >>= (@?= 5)
      mi_option_is_enabled o >>= (@?= True)
      mi_option_get_clamp o 0 3 >>= (@?= 3)
      mi_option_get_clamp o 7 9 >>= (@?= 7)
      mi_option_get_size o >>= (@?= 5)
      mi_option_set_default o 6
      mi_option_get o >>= (@?= 5)
      mi_option_disable o
      mi_option_get o >>= (@?= 0)
      mi_option_enable o
      mi_option_get o >>= (@?= 1)
      mi_option_set_enabled o False
      mi_option_is_enabled o >>= (@?= False)
      mi_option_set_enabled_default o True
      mi_option_is_enabled o >>= (@?= False)
      mi_option_set o old
  , testCase "sizes in KiB" $ do
      n <- mi_option_get MiOptionArenaReserve
      mi_option_get_size MiOptionArenaReserve >>= (@?= fromIntegral n * 1024)
  ]

process :: [TestTree]
process =
  [ testCase "mi_process_info" $ alloca $ \a -> alloca $ \b -> do
      poke a 0 >> poke b 0
      mi_process_info a nullPtr nullPtr nullPtr b nullPtr nullPtr nullPtr
      rss <- peek b
      assertBool (show rss) (rss > 1000000)
  , testCase "need not be called" $ do
      mi_process_init >> mi_thread_init >> mi_process_done >> mi_thread_done
      p <- mi_zalloc big
      zeros 1000 p
      mi_free p
  , testCase "mi_is_redirected" $ mi_is_redirected >>= (@?= 0)
  , testCase "statistics" $ mi_stats_reset >> mi_stats_merge
  ]

names :: [TestTree]
names =
  [ testCase "mi_posix_memalign" $ alloca $ \q -> do
      poke q nullPtr
      mi_posix_memalign q 64 100 >>= (@?= 0)
      p <- peek q :: IO (Ptr Word8)
      assertBool "not aligned" (p /= nullPtr && isAligned 64 p)
      mi_free_aligned p 64
      forM_ [0, 4, 24] $ \a -> mi_posix_memalign q a 100 >>= \e -> assertBool (show e) (Errno e == eINVAL)
      mi_posix_memalign q 64 maxBound >>= \e -> assertBool (show e) (Errno e == eNOMEM)
      peek q >>= (@?= p)
      mi_posix_memalign (nullPtr :: Ptr (Ptr ())) 64 100 >>= \e -> assertBool (show e) (Errno e == eINVAL)
  , testCase "mi_memalign, mi_aligned_alloc, mi_valloc, mi_pvalloc" $
        forM_ [ (64, mi_memalign 64), (64, mi_aligned_alloc 64)
              , (4096, mi_valloc), (4096, mi_pvalloc) ] $ \(a, f) -> do
      p <- f 100 :: IO (Ptr Word8)
      assertBool "not aligned" (p /= nullPtr && isAligned a p)
      mi_free_size_aligned p 100 64
      f maxBound >>= (@?= nullPtr)
  , testCase "mi_pvalloc has whole pages" $ do
      p <- mi_pvalloc 100
      mi_usable_size p >>= \n -> assertBool (show n) (n >= 4096)
      mi_free p
  , testCase "mi_reallocarray, mi_cfree, mi_free_size" $ do
      p <- mi_reallocarray nullPtr 10 10 :: IO (Ptr Word8)
      pokeArray p [1 .. 100]
      q <- mi_reallocarray p 100 10
      peekArray 100 q >>= (@?= [1 .. 100 :: Word8])
      mi_cfree q
      allocaBytes 8 $ \s -> mi_cfree (s :: Ptr Word8)  -- not ours: nothing
      r <- mi_malloc 10
      mi_free_size r 10
  , testCase "mi_malloc_size, mi_malloc_usable_size" $ allocaBytes 8 $ \(e :: Ptr CInt) -> do
      p <- mi_malloc 100
      n <- mi_usable_size p
      mi_malloc_size p >>= (@?= n)
      mi_malloc_usable_size p >>= (@?= n)
      mi_free p
      mi_malloc_size e >>= (@?= 0)
      c <- newCString "elsewhere"
      mi_malloc_usable_size c >>= (@?= 0)
      free c
  ]
